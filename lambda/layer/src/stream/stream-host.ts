import type { Channel } from "../core/channel.ts";
import type { Reason } from "../core/client-feed.ts";
import type { Clock } from "../core/clock.ts";
import type { HubStream } from "./client-stream.ts";
import type { StreamLimits } from "./port.ts";

/** What a stream needs of its hub. */
export interface StreamHost {
	readonly clock: Clock;
	readonly limits: StreamLimits;
	/** Once in a turn: a frame that may well be alone in it need not wait for its end. */
	isFirst(): boolean;
	/** Calls the stream's `flush` at the end of this turn. */
	soon(stream: HubStream): void;
	released(stream: HubStream, reason: Reason): void;
	follow(channels: readonly Channel[]): void;
	unfollow(channels: readonly Channel[]): void;
}
