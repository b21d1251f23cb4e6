/**
 * What one client stream is to the engine. A sink never blocks and never throws: it keeps a bounded queue of its
 * own and ends itself with `slow-consumer` when that is full. The engine calls it in the order in which the stream
 * must show things, always from the same process, and never after `end`.
 */
import type { Envelope } from "../core/envelope.ts";

/** Why a client stream was ended, or told that something is missing (P3). */
export type Reason = "gap" | "retention" | "epoch" | "slow-consumer" | "moved" | "expired" | "shutdown" | "closed";

export interface Sink {
	/** The stream's next envelope. `cursor` is the stream's cursor after it; absent for an early copy. */
	deliver(envelope: Envelope, cursor: string | undefined): void;
	/** The stream goes on, but something before this point is missing. */
	mark(reason: "gap" | "retention" | "epoch", cursor: string): void;
	/** The stream's cursor, first on every open and after its channels changed. */
	cursor(cursor: string): void;
	/** The engine can serve this stream no longer. */
	end(reason: Reason): void;
	/** While replaying, the engine waits for this before the next page; undefined when there is room now. */
	room?(): Promise<void> | undefined;
}
