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
/** Each byte as it is spelled: looked up, since to spell a number anew takes longer than all else of an id. */
const BYTES = Array.from({ length: 256 }, (_, byte) => HEX.charAt(byte >>> 4) + HEX.charAt(byte & 15));
/** Hex digits that begin with the two bits of RFC 9562's variant. */
const VARIANTS = "89ab";

/** Fills a buffer with random bytes; tests pass a seeded one. */
export type RandomFill = (buffer: Buffer) => void;

export function createIds(clock: Clock, fill: RandomFill = randomFillSync): Ids {
	const pool = Buffer.alloc(4096);
	let random = "";
	let used = 0;
	/** Where so many random hex digits begin. An even number of them: two are a byte of the pool. */
	const take = (count: number): number => {
		if (used + count > random.length) {
			fill(pool);
			random = pool.toString("hex");
			used = 0;
		}
		used += count;
		return used - count;
	};
	let lastMs = 0;
	let sequence = 0;
	/** The first 32 bits of the time as they are spelled, which stand for a minute. */
	let minute = -1;
	let minuteText = "";
	return {
		next() {
			const ms = Math.floor(Math.max(clock.now(), lastMs));
			// 12 bits of counter after the time keep ids of one millisecond in order; it overflows into the time.
			if (ms === lastMs) sequence += 1;
			else sequence = pool.readUInt16BE(take(4) / 2) & 0x7ff;
			lastMs = ms;
			if (sequence > 0xfff) {
				sequence = 0;
				lastMs += 1;
			}
			const high = Math.floor(lastMs / 0x10000);
			if (high !== minute) {
				minute = high;
				minuteText = high.toString(16).padStart(8, "0");
			}
			const low = (BYTES[(lastMs >>> 8) & 255] as string) + BYTES[lastMs & 255];
			const counter = HEX.charAt(sequence >>> 8) + BYTES[sequence & 255];
			// The variant's digit repeats two bits of the counter: 60 random ones keep processes apart.
			const at = take(16) + 1;
			const [first, rest] = [random.slice(at, at + 3), random.slice(at + 3, at + 15)];
			return `${minuteText}-${low}-7${counter}-${VARIANTS.charAt(sequence & 3)}${first}-${rest}`;
		},
		random32: () => pool.readUInt32BE(take(8) / 2),
	};
}

/** The same id for the same parts, always: for envelopes made from events that have an id of their own. */
export function deriveId(...parts: readonly string[]): string {
	const bytes = createHash("sha256").update(JSON.stringify(parts)).digest();
	bytes[6] = 0x80 | ((bytes[6] as number) & 0x0f);
	bytes[8] = 0x80 | ((bytes[8] as number) & 0x3f);
	return format(bytes);
}
