/**
 * The seam between the delivery engine and client streams: a feed is one stream's place in the engine, a sink is what
 * the engine shows it to. A sink never blocks and never throws: it keeps a bounded queue of its
 * own and ends itself with `slow-consumer` when that is full. The engine calls it in the order in which the stream
 * must show things, and never after `end`.
 */
import type { Channel } from "./channel.ts";
import type { Envelope } from "./envelope.ts";

/** Why a client stream was ended, or told that something is missing (P3). */
export type Reason = "gap" | "retention" | "epoch" | "slow-consumer" | "moved" | "expired" | "shutdown" | "closed";

/** Told what client streams are shown, as it happens: it neither throws nor costs anything while nobody listens. */
export interface StreamObserver {
	/** An envelope was shown by a sink, from a log's past or live. */
	shown(envelope: Envelope, isReplay: boolean): void;
	/** A sink was told that something is missing. */
	lost(reason: "gap" | "retention" | "epoch"): void;
	/** A client stream was let go. */
	ended(reason: Reason): void;
}

export interface Sink {
	/**
	 * The stream's next envelope. `cursor` is the stream's cursor after it; absent for an early copy. False where the stream
	 * does not show it, and `gap` where it cannot and told that instead.
	 */
	deliver(envelope: Envelope, cursor: string | undefined): unknown;
	/** The stream goes on, but something before this point is missing. */
	mark(reason: "gap" | "retention" | "epoch", cursor: string): void;
	/** The stream's cursor, first on every open and after its channels changed. */
	cursor(cursor: string): void;
	/** The stream's cursor moved past what is not shown there. */
	passed?(): void;
	/** The engine can serve this stream no longer. */
	end(reason: Reason): void;
	/** While replaying, the engine waits for this before the next page; undefined when there is room now. */
	room?(): Promise<void> | undefined;
}

export interface FeedRequest {
	readonly channels: readonly Channel[];
	/** The client's cursor as it came from outside; one that cannot be used is told, never trusted. */
	readonly cursor?: string | undefined;
	/** Nothing published before this wall time is shown: a cursor never reaches behind the authorisation. */
	readonly sinceMs?: number | undefined;
}

export interface Feed {
	/** Resolves once the opening cursor was given. */
	readonly opened: Promise<void>;
	readonly cursor: string;
	/** Follows one more channel, from now on. */
	add(channel: Channel): Promise<void>;
	remove(channel: Channel): void;
	/** A copy that stands in for one that a lane refused for the moment. */
	early(envelope: Envelope): void;
	close(): void;
}

/** Throws TooManyChannels before any work. */
export type OpenFeed = (request: FeedRequest, sink: Sink) => Feed;
