/** What commands say, and how they end. */
import { type FanoutError, isFanoutError } from "mcp-fanout";

export interface Output {
	out(text: string): void;
	err(text: string): void;
}

export const EXIT = { fine: 0, problems: 1, usage: 2, dial: 3 } as const;

/** C1 controls, DEL, and what breaks lines or turns the direction of text: JSON leaves them as they are, terminals obey. */
const UNSEEN = /[\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** A text of others as part of one line. */
export function line(text: string): string {
	return text.replace(/[\s\p{Cc}]+/gu, " ").replace(UNSEEN, " ");
}

/** As JSON that does nothing to a terminal. */
export function json(value: unknown): string {
	return JSON.stringify(value).replace(UNSEEN, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** A name that others chose, as one word of a line. */
export function word(text: string): string {
	return /^[\w.@:/+-]+$/.test(text) && text !== "-" ? text : json(text);
}

/** Tells what a fanout reports while it runs. */
export const telling =
	(output: Output) =>
	({ code, message }: FanoutError): void =>
		output.err(`${code}: ${message}`);

/** Tells what failed, with its causes, and says how to end; what is no failure of a fanout is thrown. */
export function failed(error: unknown, output: Output): number {
	if (!isFanoutError(error)) throw error;
	const lines = [error, ...error.causes].map((one) => (one instanceof Error ? one.message : String(one)));
	// Most messages end with their cause's.
	output.err(lines.filter((line, at) => !lines.slice(0, at).some((said) => said.includes(line))).join("\n  "));
	const isAsked = error.code === "ConfigInvalid" || error.code.startsWith("Invalid");
	return isAsked ? EXIT.problems : EXIT.dial;
}
