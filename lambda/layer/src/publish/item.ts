/** One envelope in a channel's queue, and what its publisher is told. */
import type { Envelope } from "../core/envelope.ts";
import type { FanoutError } from "../core/errors.ts";
import type { Term } from "../core/pending.ts";
import type { Outcome } from "../core/transport.ts";

/** A lane's answer, or that the publisher keeps the envelope for it. */
export type LaneOutcome =
	| (Outcome & { readonly queued?: never })
	| { readonly ok: false; readonly queued: true; readonly uncertain: boolean; readonly error: FanoutError };

export interface Item {
	readonly envelope: Envelope;
	readonly bytes: number;
	/** Monotonic, as the deadline. */
	readonly since: number;
	readonly deadline: number;
	/** When it was first offered without an answer: since then the lane may hold it. Monotonic. */
	uncertainSince: number | undefined;
	/** Absent once the publisher was told. */
	waiting: { readonly term: Term; resolve(outcome: LaneOutcome): void } | undefined;
	/** Where the outbox's file has it. */
	row?: number | undefined;
	/** No longer in its queue. */
	isGone?: boolean;
}
