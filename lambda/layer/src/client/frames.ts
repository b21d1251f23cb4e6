/** The ticket API's frames as this client reads them. Anything that is not one throws: the connection is then replaced. */
import { FanoutError } from "../core/errors.ts";
import { type Position, parsePosition } from "../core/position.ts";

export interface WireEntry {
	readonly position: Position;
	readonly prev: Position;
	/** Absent where the log has a gap, or holds something that is no message. */
	readonly message?: Readonly<Record<string, unknown>>;
	readonly id?: string;
}

export type Verdict = "whole" | "retention" | "epoch";

export type Frame =
	| {
			readonly t: "subscribed";
			readonly ref: number;
			/** Of the cell that answers. */
			readonly region: string | undefined;
			readonly ends: readonly (readonly [string, Position])[];
			readonly refused: readonly (readonly [string, string])[];
	  }
	| { readonly t: "pong" | "renewed" | "unsubscribed"; readonly ref: number }
	| { readonly t: "entries"; readonly channel: string; readonly entries: readonly WireEntry[] }
	| {
			readonly t: "page";
			readonly ref: number;
			readonly channel: string;
			readonly entries: readonly WireEntry[];
			readonly more: boolean;
			readonly verdict: Verdict;
	  }
	| { readonly t: "moved"; readonly channel: string }
	| { readonly t: "end"; readonly reason: string }
	| { readonly t: "error"; readonly ref: number | undefined; readonly code: string };

type Fields = Readonly<Record<string, unknown>>;

function bad(): FanoutError {
	return new FanoutError("InvalidMessage", "the server sent a frame that cannot be read");
}

function fieldsOf(value: unknown): Fields {
	if (typeof value !== "object" || value === null || Array.isArray(value)) throw bad();
	return value as Fields;
}

function text(value: unknown): string {
	if (typeof value !== "string") throw bad();
	return value;
}

function list(value: unknown): unknown[] {
	if (!Array.isArray(value)) throw bad();
	return value;
}

function entry(value: unknown): WireEntry {
	const { p, prev, e } = fieldsOf(value);
	const place = { position: parsePosition(p), prev: parsePosition(prev) };
	if (typeof e !== "object" || e === null) return place;
	const { message, id } = e as Fields;
	if (typeof message !== "object" || message === null || typeof id !== "string") return place;
	return { ...place, message: message as Fields, id };
}

export function readFrame(data: unknown): Frame | undefined {
	let fields: Fields;
	try {
		fields = fieldsOf(JSON.parse(text(data)));
	} catch {
		throw bad();
	}
	const ref = fields.ref as number;
	switch (fields.t) {
		case "subscribed":
			return {
				t: "subscribed",
				ref,
				region: typeof fields.region === "string" ? fields.region : undefined,
				ends: list(fields.ends).map((pair) => [text(list(pair)[0]), parsePosition(list(pair)[1])] as const),
				refused: list(fields.refused).map((pair) => [text(list(pair)[0]), text(list(pair)[1])] as const),
			};
		case "pong":
		case "renewed":
		case "unsubscribed":
			return { t: fields.t, ref };
		case "entries":
			return { t: "entries", channel: text(fields.channel), entries: list(fields.entries).map(entry) };
		case "page":
			return {
				t: "page",
				ref,
				channel: text(fields.channel),
				entries: list(fields.entries).map(entry),
				more: fields.more === true,
				verdict: text(fields.verdict) as Verdict,
			};
		case "moved":
			return { t: "moved", channel: text(fields.channel) };
		case "end":
			return { t: "end", reason: text(fields.reason) };
		case "error":
			return { t: "error", ref, code: text(fields.code) };
		default:
			return undefined;
	}
}
