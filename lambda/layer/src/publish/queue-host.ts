/** What a channel's queue is told and given by its publisher. */
import type { Channel } from "../core/channel.ts";
import type { Clock } from "../core/clock.ts";
import type { Gate } from "../core/gate.ts";
import type { Term } from "../core/pending.ts";
import type { Transport } from "../core/transport.ts";
import type { Offers } from "./offers.ts";
import type { Outbox } from "./outbox.ts";
import type { RetryBudget } from "./retry-budget.ts";

export interface QueueHost {
	readonly transport: Transport;
	readonly clock: Clock;
	readonly timeoutMs: number;
	readonly budget: RetryBudget;
	readonly gate: Gate | undefined;
	/** Absent: what a lane refuses fails. */
	readonly outbox: Outbox | undefined;
	/** The publisher is closed. */
	readonly stop: AbortSignal;
	/** What is in flight; aborted at the close, and when the gate shuts. */
	readonly offers: Offers;
	/** The gate admits nothing now. */
	readonly isShut: boolean;
	/** The transport has not started, and says so to each offer: nobody has to wait for it. */
	readonly isLate: boolean;
	/** Resolves when it may admit something, and at the close. */
	opened(): Promise<void>;
	random(): number;
	/** The queue gave back an envelope's room. */
	settled(bytes: number, term: Term): void;
	/** Nothing is queued or in flight any more. */
	idle(channel: Channel): void;
}
