/**
 * The identifier port. Envelope ids are UUIDv7 (RFC 9562 section 5.7), monotonic within a process; an id derived
 * from a source event is a UUIDv8 (section 5.8) over its SHA-256, so that every delivery of the event derives the same.
 */
import { createHash, randomFillSync } from "node:crypto";
import type { Clock } from "./clock.ts";

export interface Ids {
	/** A fresh envelope id. */
	next(): string;
	/** An unsigned 32-bit random integer. */
	random32(): number;
}

function format(bytes: Buffer): string {
	const hex = bytes.toString("hex", 0, 16);
	return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

const HEX = "0123456789abcdef";
/** Hex digits that begin with the two bits of RFC 9562's variant. */
const VARIANTS = "89ab";

/** Fills a buffer with random bytes; tests pass a seeded one. */
export type RandomFill = (buffer: Buffer) => void;

export function createIds(clock: Clock, fill: RandomFill = randomFillSync): Ids {
	const pool = Buffer.alloc(4096);
	let random = "";
	let used = 0;
	/** So many random hex digits. */
	const take = (count: number): string => {
		if (used + count > random.length) {
			fill(pool);
			random = pool.toString("hex");
			used = 0;
		}
		used += count;
		return random.slice(used - count, used);
	};
	let lastMs = 0;
	let sequence = 0;
	/** The first 48 bits as they are spelled, made once a millisecond. */
	let timeMs = -1;
	let time = "";
	return {
		next() {
			const ms = Math.floor(Math.max(clock.now(), lastMs));
			// 12 bits of counter after the time keep ids of one millisecond in order; it overflows into the time.
			if (ms === lastMs) sequence += 1;
			else sequence = Number.parseInt(take(3), 16) & 0x7ff;
			lastMs = ms;
			if (sequence > 0xfff) {
				sequence = 0;
				lastMs += 1;
			}
			if (timeMs !== lastMs) {
				timeMs = lastMs;
				const hex = lastMs.toString(16).padStart(12, "0");
				time = `${hex.slice(0, 8)}-${hex.slice(8)}-7`;
			}
			const counter = HEX.charAt(sequence >>> 8) + HEX.charAt((sequence >>> 4) & 15) + HEX.charAt(sequence & 15);
			// The variant's digit repeats two bits of the counter: 60 random ones keep processes apart.
			return `${time}${counter}-${VARIANTS.charAt(sequence & 3)}${take(3)}-${take(12)}`;
		},
		random32: () => Number.parseInt(take(8), 16),
	};
}

/** The same id for the same parts, always: for envelopes made from events that have an id of their own. */
export function deriveId(...parts: readonly string[]): string {
	const bytes = createHash("sha256").update(JSON.stringify(parts)).digest();
	bytes[6] = 0x80 | ((bytes[6] as number) & 0x0f);
	bytes[8] = 0x80 | ((bytes[8] as number) & 0x3f);
	return format(bytes);
}
