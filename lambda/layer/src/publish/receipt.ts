/**
 * Receipts state acceptance (P1): which lanes took the envelope by their own acknowledgement, with reach and
 * durability; for which lanes that refused the publisher keeps it; and what failed. Nothing accepted and nothing
 * queued is an error, `AllBroadcastersFailed`, with every cause.
 */
import { FanoutError } from "../core/errors.ts";
import { formatPosition } from "../core/position.ts";
import type { Durability, Reach } from "../core/transport.ts";
import type { LaneOutcome } from "./item.ts";

export interface LaneReceipt {
	/** The transport's name. */
	readonly lane: string;
	readonly reach: Reach;
	readonly durability: Durability;
	/** `epoch.offset`, where the transport knows it at acceptance. */
	readonly position?: string;
	/** The lane held this id already. */
	readonly duplicate: boolean;
}

export interface LaneFailure {
	readonly lane: string;
	/** The envelope may have been accepted all the same. */
	readonly uncertain: boolean;
	readonly error: FanoutError;
}

export interface Receipt {
	/** The envelope's id: the correlation id in logs and traces. */
	readonly id: string;
	readonly channel: string;
	readonly accepted: readonly LaneReceipt[];
	/**
	 * Kept by this process for lanes that refused for now, with why; offered again in order. Not accepted. In its memory,
	 * and in the outbox's file where there is one.
	 */
	readonly queued: readonly LaneFailure[];
	readonly failed: readonly LaneFailure[];
	/**
	 * The eras of MCP, `2025` and `2026-07-28`, that have no way to bring this to a client so addressed, whoever is
	 * connected. Streams of one's own carry it all the same.
	 */
	readonly undeliverable: readonly string[];
}

export function tallyOf(outcomes: readonly LaneOutcome[]): { accepted: number; queued: number; failed: number } {
	const accepted = outcomes.filter(({ ok }) => ok).length;
	const queued = outcomes.filter((outcome) => outcome.queued).length;
	return { accepted, queued, failed: outcomes.length - accepted - queued };
}

const NONE: readonly never[] = [];

/** `outcomes` in the order of `lanes`. Throws AllBroadcastersFailed when no lane accepted and none is queued for. */
export function toReceipt(
	id: string,
	channel: string,
	lanes: readonly string[],
	outcomes: readonly LaneOutcome[],
	undeliverable: readonly string[] = [],
): Receipt {
	// Of their exact size: one that is pushed to makes room for sixteen more, in every receipt.
	let accepted: readonly LaneReceipt[] = NONE;
	let queued: readonly LaneFailure[] = NONE;
	let failed: readonly LaneFailure[] = NONE;
	for (let index = 0; index < outcomes.length; index += 1) {
		const outcome = outcomes[index] as LaneOutcome;
		const lane = lanes[index] as string;
		if (outcome.ok) {
			const { reach, durability, duplicate, position: at } = outcome;
			const one =
				at === undefined
					? { lane, reach, durability, duplicate }
					: { lane, reach, durability, duplicate, position: formatPosition(at) };
			accepted = accepted === NONE ? [one] : [...accepted, one];
			continue;
		}
		const failure = { lane, uncertain: outcome.uncertain, error: outcome.error };
		if (outcome.queued) queued = [...queued, failure];
		else failed = [...failed, failure];
	}
	if (accepted.length + queued.length > 0) return { id, channel, accepted, queued, failed, undeliverable };
	const [only] = failed;
	if (failed.length === 1 && only !== undefined && !only.error.retryable && !only.uncertain) throw only.error;
	throw new FanoutError(
		"AllBroadcastersFailed",
		`no lane accepted: ${failed.map(({ lane, error }) => `${lane}: ${error.message}`).join("; ")}`,
		{
			causes: failed.map(({ error }) => error),
			cause: only?.error,
			retryable: failed.some(({ error }) => error.retryable),
			data: { id, lanes: failed.map(({ lane }) => lane), uncertain: failed.some(({ uncertain }) => uncertain) },
		},
	);
}
