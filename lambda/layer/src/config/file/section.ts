/** What the keys of one table are, once they are checked, and how a table's own rules report what is wrong. */
import type { z } from "zod";

export type Shape = Readonly<Record<string, z.ZodType>>;

/** What was given and is right; what was wrong is reported already, and absent. */
export type Values<S extends Shape> = { readonly [K in keyof S]?: z.output<S[K]> };

export interface Wrong {
	readonly message: string;
	readonly found?: unknown;
	readonly allowed?: string;
}

/** `key` is a key of the table, or undefined for the table itself. */
export type Report = (key: string | undefined, wrong: Wrong) => void;

export const role = {
	enabled: "Whether the transport is started, followed and published to. Rules skip one that is not.",
	priority: "Its place among the transports where no rule matches: lower is earlier.",
} as const;
