/**
 * What is wrong with a configuration: where, what was found, what is allowed, and the nearest name that is known. All
 * problems of one reading are told by one error. Values of secrets, and addresses with a password, are never shown.
 */
import { FanoutError } from "../../core/errors.ts";

export interface Problem {
	/** The file, or `environment`. */
	readonly file: string;
	/** From 1; absent for what is missing, and for the environment. */
	readonly line?: number | undefined;
	/** `notification.nats.max_msgs`, or the variable's name. */
	readonly key: string;
	readonly message: string;
	readonly found?: string | undefined;
	readonly allowed?: string | undefined;
	readonly nearest?: string | undefined;
}

const MAX_SHOWN = 80;
/** Told at once; a file with more of them is not a configuration. */
const MAX_TOLD = 50;

export function shown(value: unknown): string {
	if (value instanceof Date) return "a date";
	const text = JSON.stringify(value, (_key, inner: unknown) => {
		if (typeof inner === "bigint") return String(inner);
		// Up to the last @: a password that was not encoded may hold a slash, a space or an @ of its own.
		return typeof inner === "string" ? inner.replace(/^([a-z+]+:\/\/)?.*@/is, "$1***@") : inner;
	});
	if (text === undefined) return typeof value;
	return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN - 1)}…` : text;
}

export function line({ file, line: at, key, message, found, allowed, nearest }: Problem): string {
	const parts = [
		message,
		...(found === undefined ? [] : [`found ${found}`]),
		...(allowed === undefined ? [] : [`allowed: ${allowed}`]),
		...(nearest === undefined ? [] : [`did you mean ${nearest}?`]),
	];
	return `${file}${at === undefined ? "" : `:${at}`}: ${key}: ${parts.join("; ")}`;
}

export function configInvalid(problems: readonly Problem[], cause?: unknown): FanoutError {
	const inOrder = problems.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0));
	const told = inOrder.slice(0, MAX_TOLD).map(line);
	if (problems.length > MAX_TOLD) told.push(`and ${problems.length - MAX_TOLD} more`);
	const [first] = told;
	const message = told.length === 1 && first !== undefined ? first : `${problems.length} problems\n${told.join("\n")}`;
	return new FanoutError("ConfigInvalid", message, {
		data: { problems: inOrder },
		...(cause === undefined ? {} : { cause }),
	});
}

function distance(left: string, right: string): number {
	let row = Array.from({ length: right.length + 1 }, (_, index) => index);
	for (let at = 1; at <= left.length; at += 1) {
		const next = [at];
		for (let to = 1; to <= right.length; to += 1) {
			const change = (row[to - 1] as number) + (left[at - 1] === right[to - 1] ? 0 : 1);
			next.push(Math.min(change, (row[to] as number) + 1, (next[to - 1] as number) + 1));
		}
		row = next;
	}
	return row.at(-1) as number;
}

const MAX_COMPARED = 64;

/** The known name that a wrong one was probably meant to be, or none. */
export function nearest(name: string, known: readonly string[]): string | undefined {
	if (name.length > MAX_COMPARED) return undefined;
	const text = name.toLowerCase().replaceAll("-", "_");
	let best: string | undefined;
	let least = Math.max(2, Math.floor(name.length / 2));
	for (const candidate of known) {
		const steps = distance(text, candidate.toLowerCase());
		if (steps < least) {
			best = candidate;
			least = steps;
		}
	}
	return best;
}
