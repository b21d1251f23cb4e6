/** One publish call against one log: what is new, what is known already, and where it stops. */
import type { Channel } from "../../core/channel.ts";
import { type Envelope, encodeEnvelope, envelopeBytes } from "../../core/envelope.ts";
import { FanoutError } from "../../core/errors.ts";
import type { Durability, Outcome } from "../../core/transport.ts";
import { endOf, eventOf, type Kept, type Log, lastAtOf } from "./log.ts";
import { MAX_BATCH } from "./options.ts";
import type { StoredEvent } from "./store.ts";

export function refuse(count: number, error: FanoutError): Outcome[] {
	return Array.from({ length: count }, () => ({ ok: false, uncertain: false, error }));
}

/** How many of the batch are good, from the first on, and why the next one is not. */
export function checkBatch(
	channel: Channel,
	batch: readonly Envelope[],
	maxBytes: number,
): { readonly good: number; readonly error?: FanoutError } {
	if (batch.length > MAX_BATCH) {
		const message = `a batch of ${batch.length} envelopes, at most ${MAX_BATCH} are accepted`;
		return { good: 0, error: new FanoutError("TransportRefused", message) };
	}
	for (const [good, envelope] of batch.entries()) {
		if (envelope.channel.key !== channel.key) {
			return { good, error: new FanoutError("InvalidEnvelope", "an envelope of another channel in the batch") };
		}
		const bytes = envelopeBytes(envelope);
		if (bytes > maxBytes) {
			const message = `an envelope of ${bytes} bytes, at most ${maxBytes} are accepted`;
			return { good, error: new FanoutError("PayloadTooLarge", message, { data: { bytes, maxBytes } }) };
		}
	}
	return { good: batch.length };
}

export interface Plan {
	readonly outcomes: Outcome[];
	readonly fresh: readonly Kept[];
	readonly bytes: number;
}

/** Gives every new id the next offset; an id that the log, or the batch before it, holds is a duplicate. */
export function planBatch(
	log: Log,
	batch: readonly Envelope[],
	now: number,
	epoch: string,
	durability: Durability,
): Plan {
	const fresh: Kept[] = [];
	/** Only a batch of several can repeat an id within itself. */
	const own = batch.length > 1 ? new Map<string, Kept>() : undefined;
	const outcomes: Outcome[] = [];
	const at = Math.max(now, lastAtOf(log));
	let offset = endOf(log);
	let bytes = 0;
	for (const envelope of batch) {
		const known = eventOf(log, envelope.id) ?? own?.get(envelope.id);
		let position = known?.position;
		if (position === undefined) {
			offset += 1;
			position = { epoch, offset: BigInt(offset) };
			const size = envelopeBytes(envelope);
			bytes += size;
			const kept = { position, envelope, id: envelope.id, at, bytes: size };
			fresh.push(kept);
			own?.set(envelope.id, kept);
		}
		outcomes.push({ ok: true, position, duplicate: known !== undefined, durability, reach: "process" });
	}
	return { outcomes, fresh, bytes };
}

/** As a store keeps them; a store that keeps nothing asks for none. */
export function* toStored(events: readonly Kept[]): Iterable<StoredEvent> {
	for (const { position, id, at, envelope } of events) {
		const text = envelope === undefined ? "" : encodeEnvelope(envelope);
		yield { offset: Number(position.offset), id, at, text };
	}
}
