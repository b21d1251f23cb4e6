/**
 * What a client stream is opened with, the handle that its opener gets, and the limits of all of them: types, defaults
 * and ranges. The feed behind it, which the delivery engine implements, is core/client-feed.ts.
 */
import type { Channel } from "../core/channel.ts";
import type { Reason } from "../core/client-feed.ts";
import { MAX_TIMER_MS } from "../core/clock.ts";
import type { Range } from "../core/ranges.ts";
import type { FilterOptions } from "./filter.ts";

export interface StreamOptions {
	/** Or what works them out: what that throws refuses the stream. */
	readonly channels: readonly Channel[] | (() => readonly Channel[]);
	readonly lastEventId?: string | undefined;
	/** Nothing published before this wall time is replayed, whatever the cursor says. */
	readonly sinceMs?: number | undefined;
	readonly filter?: FilterOptions | undefined;
	/** While the client does not read, keep only the last of invalidations that say the same. */
	readonly coalesce?: boolean | undefined;
	/** Default true; MCP clients of protocols before 2025-11-25 must get none. */
	readonly cursorFrames?: boolean | undefined;
	/** SSE: how long the client shall wait before it reconnects. */
	readonly retryMs?: number | undefined;
}

/** With the channels worked out. */
export interface OpenOptions extends StreamOptions {
	readonly channels: readonly Channel[];
}

export interface StreamChange {
	readonly add?: readonly Channel[];
	readonly remove?: readonly Channel[];
	/** Replaces the filter; `{}` lets everything pass. */
	readonly filter?: FilterOptions;
}

export interface ClientStream {
	readonly id: string;
	readonly opened: Promise<void>;
	/** Resolves when the connection has been let go, with why. */
	readonly closed: Promise<Reason>;
	/** Removes, then adds; rejects when a channel cannot be added (what was added before stays). */
	update(change: StreamChange): Promise<void>;
	/** `expired`: what the client may see of it has ended, and with fresh credentials it may come back. */
	close(reason?: "closed" | "expired"): void;
}

export interface StreamLimits {
	/** Open client streams of this process. */
	readonly maxStreams: number;
	/** Frames, and bytes, that wait for one client that does not read. */
	readonly maxQueuedFrames: number;
	readonly maxQueuedBytes: number;
	/** Bytes that collect within one turn before they are written early. */
	readonly maxTurnBytes: number;
	readonly heartbeatMs: number;
	/** How long a connection may take nothing before its stream ends with `slow-consumer`, at its next heartbeat. */
	readonly maxStallMs: number;
	/** How long an ended connection may take to accept its last bytes. */
	readonly endGraceMs: number;
}

export const DEFAULT_STREAM_LIMITS: StreamLimits = {
	maxStreams: 10_000,
	maxQueuedFrames: 1024,
	maxQueuedBytes: 1024 * 1024,
	maxTurnBytes: 64 * 1024,
	heartbeatMs: 15_000,
	maxStallMs: 60_000,
	endGraceMs: 5_000,
};

/** Heartbeats from one cursor to the next: that a lane was empty until then, as a cursor says, grows old by itself. */
export const MAX_CURSOR_AGE = 40;

export const STREAM_RANGES: Readonly<Record<keyof StreamLimits, Range>> = {
	maxStreams: [0, 10_000_000],
	maxQueuedFrames: [1, 10_000_000],
	maxQueuedBytes: [1, 2 ** 34],
	maxTurnBytes: [1, 2 ** 29],
	heartbeatMs: [1, MAX_TIMER_MS],
	maxStallMs: [1, MAX_TIMER_MS],
	endGraceMs: [0, MAX_TIMER_MS],
};
