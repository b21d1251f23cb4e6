/**
 * What sessions need of the fanout around them: the registry, channels, client streams, and a way to tell other
 * processes. The composition root provides it; the shapes of other stages are spelled here as far as they are used.
 */
import type { Channel } from "../../core/channel.ts";
import type { Feed, FeedRequest, Reason, Sink } from "../../core/client-feed.ts";
import type { Clock } from "../../core/clock.ts";
import type { FanoutError } from "../../core/errors.ts";
import type { LogLevel } from "../../core/log-level.ts";
import type { Message } from "../../core/message.ts";
import type { Position } from "../../core/position.ts";
import type { Reach } from "../../core/transport.ts";
import type { Registry } from "../../sessions/port.ts";

export interface Published {
	readonly accepted: readonly {
		readonly lane: string;
		readonly reach: Reach;
		readonly position?: string | undefined;
	}[];
}

/** How a client stream spells what it shows. */
export interface Spelling {
	message(json: string, cursor: string | undefined): string;
	cursor(cursor: string): string;
	mark(reason: Reason, cursor: string): string;
	end(reason: Reason): string;
}

export interface StreamFilter {
	readonly uris: readonly string[];
	readonly logLevel?: LogLevel | undefined;
}

export interface StreamHandle {
	readonly closed: Promise<Reason>;
	update(change: { readonly filter: StreamFilter }): Promise<void>;
	close(): void;
}

export interface StreamOpening {
	readonly channels: readonly Channel[];
	readonly lastEventId: string;
	readonly sinceMs: number;
	readonly filter: StreamFilter;
	readonly cursorFrames: boolean;
	readonly retryMs: number;
	readonly coalesce: boolean;
	readonly spelling: Spelling;
	readonly headers: Readonly<Record<string, string>>;
	onStream(stream: StreamHandle): void;
}

export interface SessionHost {
	readonly namespace: string;
	readonly instanceId: string;
	readonly clock: Clock;
	/** `held`: only while somebody holds it, as a function does that freezes between its invocations. */
	readonly follow: boolean | "held";
	/** Follows until released. */
	hold(): Promise<{ release(): Promise<void> }>;
	/** Calls `task` when nothing runs here any more, and a freeze may follow; returns what takes that back. */
	onSettle(task: () => Promise<void>): () => void;
	report(error: FanoutError): void;
	/** What the task announces is for this tenant unless it says otherwise. */
	within<T>(tenant: string, task: () => T): T;
	/** Opened by the first call; when that fails the next tries again. */
	registry(): Promise<Registry>;
	/** Resolves when the channel's log has it, with where. */
	publish(channel: Channel, message: Message): Promise<Published>;
	/** What a lane's log has after a position, to its end; throws when some of it is gone. */
	readAfter(lane: string, channel: Channel, from: Position): AsyncIterable<{ at: string; message: Message }>;
	openFeed(request: FeedRequest, sink: Sink): Feed;
	/** Answers the request with a client stream, or with why there is none. */
	openStream(request: Request, opening: StreamOpening): Response;
	/** A cursor at the ends of the `standing` channels, and of a `fresh` one that nothing was published to yet. */
	cursorOf(fresh: Channel, standing: readonly Channel[]): Promise<string>;
	/** A cursor before all that a channel's log has. */
	cursorBefore(channel: Channel): string;
}
