/**
 * One offer of a batch to a transport, under a deadline: what was taken, and why the first that was not. What nobody
 * knows is marked as uncertain, with the time; once the lane may have forgotten its id, it is looked up first.
 */
import type { Channel } from "../core/channel.ts";
import { asFanoutError, FanoutError } from "../core/errors.ts";
import type { Outcome } from "../core/transport.ts";
import type { Item } from "./item.ts";
import { leadingHeld } from "./lookup.ts";
import type { QueueHost } from "./queue-host.ts";

export interface Answer {
	/** Of the first envelopes of the batch. */
	readonly taken: readonly Outcome[];
	readonly error: FanoutError | undefined;
}

export function markUncertain(items: readonly Item[], since: number): void {
	for (const item of items) item.uncertainSince ??= since;
}

export function offerBatch(
	host: QueueHost,
	channel: Channel,
	batch: readonly Item[],
	withinMs: number,
): Promise<Answer> {
	const { transport, clock } = host;
	const { place } = transport;
	const envelopes = batch.map(({ envelope }) => envelope);
	const mayExist = batch.some(({ uncertainSince }) => uncertainSince !== undefined);
	const forgotten = mayExist ? forgottenOf(host, batch, withinMs) : 0;
	let offeredAt = forgotten === 0 ? clock.monotonic() : undefined;
	const lookUp = async (signal: AbortSignal): Promise<Outcome[]> => {
		const held = await leadingHeld(transport, channel, envelopes.slice(0, forgotten), signal);
		const found = envelopes.slice(0, held).map(() => foundOf(host));
		if (held === envelopes.length) return found;
		offeredAt = clock.monotonic();
		return [...found, ...(await transport.publish(channel, envelopes.slice(held), { mayExist }, signal))];
	};
	const offer = (signal: AbortSignal) =>
		forgotten === 0 ? transport.publish(channel, envelopes, { mayExist }, signal) : lookUp(signal);
	return host.offers.run(Math.max(1, withinMs), `a publish to ${place}`, offer).then(
		(outcomes) => judge(batch, outcomes, place, offeredAt ?? clock.monotonic()),
		(cause) => {
			if (offeredAt !== undefined) markUncertain(batch, offeredAt);
			return { taken: [], error: asFanoutError(cause, "TransportUnavailable", `a publish to ${place} failed`, true) };
		},
	);
}

function judge(batch: readonly Item[], outcomes: readonly Outcome[], place: string, offeredAt: number): Answer {
	const refused = outcomes.findIndex(({ ok }) => !ok);
	const count = Math.min(refused < 0 ? outcomes.length : refused, batch.length);
	if (count === batch.length) return { taken: outcomes, error: undefined };
	for (const [index, item] of batch.entries()) {
		const outcome = outcomes[index];
		if (index >= count && (outcome === undefined || outcome.ok || outcome.uncertain)) markUncertain([item], offeredAt);
	}
	const first = outcomes[count];
	const short = () => new FanoutError("TransportRefused", `${place} answered fewer outcomes than envelopes`);
	return { taken: outcomes.slice(0, count), error: first === undefined || first.ok ? short() : first.error };
}

/** How many envelopes in front the lane may hold without remembering their ids. */
function forgottenOf({ transport, clock }: QueueHost, batch: readonly Item[], withinMs: number): number {
	const { replay, dedupMs } = transport.capabilities;
	const before = clock.monotonic() + withinMs - dedupMs;
	if (!replay) return 0;
	return batch.findLastIndex(({ uncertainSince }) => uncertainSince !== undefined && uncertainSince < before) + 1;
}

/** What the log holds was taken; how well it is kept is what the transport says of its log at the least. */
function foundOf({ transport }: QueueHost): Outcome {
	return { ok: true, duplicate: true, durability: "memory", reach: transport.capabilities.reach };
}
