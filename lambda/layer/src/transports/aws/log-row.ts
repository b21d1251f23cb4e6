/** A row of a region's log, and what it is on the wire and for whoever reads it. */
import { decodeEnvelope } from "../../core/envelope.ts";
import { isFanoutError } from "../../core/errors.ts";
import type { Position } from "../../core/position.ts";
import type { Entry } from "../../core/transport.ts";
import type { WireEntry } from "./wire.ts";

export interface Row {
	readonly n: number;
	readonly epoch: string;
	readonly id: string;
	readonly env?: string;
	readonly at: number;
	readonly expiresAt: number;
	/**
	 * Rows before the epoch's first: its offsets are n - startsAfter. Not 0 only where expired rows of an older epoch lingered
	 * (expiry takes DynamoDB days, in no order), which a new row must neither overwrite nor be taken for.
	 */
	readonly startsAfter?: number;
}

export const baseOf = (row: Row): number => row.startsAfter ?? 0;
export const positionOf = (row: Row): Position => ({ epoch: row.epoch, offset: row.n - baseOf(row) });

export function entryOf(row: Row): WireEntry {
	const position = positionOf(row);
	return { position, prev: { epoch: row.epoch, offset: position.offset - 1 }, text: row.env };
}

export function decodeEntry({ position, prev, text }: WireEntry): Entry {
	if (text === undefined) return { position, prev };
	try {
		return { position, prev, envelope: decodeEnvelope(text) };
	} catch (error) {
		// What this reader cannot decode is a hole for it, told as a gap, and no reason to fail its neighbours' page.
		if (isFanoutError(error)) return { position, prev };
		throw error;
	}
}
