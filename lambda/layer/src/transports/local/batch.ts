/** One publish call against one log: what is new, what is known already, and where it stops. */
import type { Channel } from "../../core/channel.ts";
import { type Envelope, encodeEnvelope, envelopeBytes, packEnvelope } from "../../core/envelope.ts";
import { FanoutError } from "../../core/errors.ts";
import type { Durability, Outcome } from "../../core/transport.ts";
import { endOf, eventOf, type Kept, type Log, lastAtOf, type Taken } from "./log.ts";
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
	let good = 0;
	for (const envelope of batch) {
		if (envelope.channel.key !== channel.key) {
			return { good, error: new FanoutError("InvalidEnvelope", "an envelope of another channel in the batch") };
		}
		const bytes = envelopeBytes(envelope);
		if (bytes > maxBytes) {
			const message = `an envelope of ${bytes} bytes, at most ${maxBytes} are accepted`;
			return { good, error: new FanoutError("PayloadTooLarge", message, { data: { bytes, maxBytes } }) };
		}
		good += 1;
	}
	return { good };
}

/** Gives every new id the next offset; an id that the log, or the batch before it, holds is a duplicate. */
export function planBatch(
	log: Log,
	batch: readonly Envelope[],
	now: number,
	epoch: string,
	durability: Durability,
): Taken[] {
	/** Only a batch of several can repeat an id within itself. */
	const own = batch.length > 1 ? new Map<string, Kept>() : undefined;
	const at = Math.max(now, lastAtOf(log));
	const planned: Taken[] = [];
	let end = endOf(log);
	for (const envelope of batch) {
		const { id } = envelope;
		const known = eventOf(log, id) ?? own?.get(id);
		const offset = known?.offset ?? end + 1;
		const position = { epoch, offset };
		const outcome: Outcome = { ok: true, position, duplicate: known !== undefined, durability, reach: "process" };
		if (known !== undefined) {
			planned.push({ outcome, fresh: undefined });
			continue;
		}
		const kept = { offset, id, at, bytes: envelopeBytes(envelope), packed: packEnvelope(envelope) };
		end = offset;
		own?.set(id, kept);
		planned.push({ outcome, fresh: { kept, entry: { position, envelope } } });
	}
	return planned;
}

export function* toStored(batch: readonly Taken[]): Iterable<StoredEvent> {
	for (const { fresh } of batch) {
		if (fresh === undefined) continue;
		const { offset, id, at } = fresh.kept;
		yield { offset, id, at, text: encodeEnvelope(fresh.entry.envelope) };
	}
}
