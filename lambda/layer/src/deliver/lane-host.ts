/** What a lane needs of its engine, and what it may be told. */
import { type BackoffLimits, fullJitter } from "../core/backoff.ts";
import type { Channel } from "../core/channel.ts";
import { type Clock, pause } from "../core/clock.ts";
import type { FanoutError } from "../core/errors.ts";
import type { Position } from "../core/position.ts";
import type { Page, Subscriber, Subscription } from "../core/transport.ts";
import { DEFAULT_RECENT, type RecentLimits } from "./recent.ts";

export interface LaneHost {
	readonly clock: Clock;
	readonly limits: LaneLimits;
	/** Whether lanes keep a window of their newest entries: not where the log is in this process's memory itself. */
	readonly hasWindow: boolean;
	/** Uniform in [0, 1): spreads the retries. */
	random(): number;
	/** Resolves when the transport has started; undefined once it has. */
	readonly late: Promise<void> | undefined;
	subscribe(channel: Channel, lane: Subscriber): Subscription;
	read(channel: Channel, from: Position): Promise<Page>;
	end(channel: Channel): Promise<Position>;
	/** The transport's place, as cursors spell it. */
	readonly place: number;
	report(error: FanoutError): void;
}

export interface LaneLimits {
	readonly recent: RecentLimits;
	/** How long a reachable log may fail to show an entry that is known to exist before followers are told `gap`. */
	readonly missingMs: number;
	/** Between retries of failed requests. */
	readonly retry: BackoffLimits;
}

export const DEFAULT_LANE: LaneLimits = {
	recent: DEFAULT_RECENT,
	missingMs: 5_000,
	retry: { baseMs: 50, capMs: 5_000 },
};

/** The wait before another attempt; the signal ends it. */
export function backOff({ clock, limits, random }: LaneHost, attempt: number, signal: AbortSignal): Promise<void> {
	return pause(clock, fullJitter(attempt, limits.retry, random), signal);
}
