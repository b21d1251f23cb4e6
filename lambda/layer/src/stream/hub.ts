/**
 * The hub: this process's open client streams. It refuses a stream over the cap before any work, flushes all streams
 * that got something once per turn of the event loop but for the turn's first frame, which leaves at once, beats all
 * hearts from one timer, and ends everything: `drain` at a jittered pace with `moved`, `close` at once with `shutdown`.
 * After `close` no timer, socket or listener stays.
 */
import type { Channel } from "../core/channel.ts";
import type { FeedRequest, OpenFeed, Reason, StreamObserver } from "../core/client-feed.ts";
import { type Clock, pause, systemClock, type Timer } from "../core/clock.ts";
import type { Envelope } from "../core/envelope.ts";
import { FanoutError } from "../core/errors.ts";
import { createIds, type Ids } from "../core/ids.ts";
import { cancelTurn, nextTurn } from "../core/next-turn.ts";
import { HubStream } from "./client-stream.ts";
import { paceOut } from "./drain.ts";
import type { Encoding } from "./frames.ts";
import { OpenStreams } from "./open-streams.ts";
import { DEFAULT_STREAM_LIMITS, type OpenOptions, type StreamLimits, type StreamOptions } from "./port.ts";
import type { StreamHost } from "./stream-host.ts";
import type { Wire } from "./wire.ts";

export interface HubOptions {
	readonly openFeed: OpenFeed;
	readonly clock?: Clock;
	readonly ids?: Ids;
	readonly limits?: Partial<StreamLimits>;
	readonly observer?: StreamObserver | undefined;
	/** The last stream of a session was let go. */
	readonly left?: (session: Channel) => void;
}

export interface Hub {
	/** Streams that hold a connection, ended ones that still take their last bytes included. */
	readonly size: number;
	/** Distinct session channels among them. */
	readonly sessions: number;
	follows(session: Channel): boolean;
	/** False from the first moment of a drain. */
	readonly isReady: boolean;
	/** Throws before any work when refused; what the feed refuses is thrown before the wire is touched. */
	open(options: StreamOptions, encoding: Encoding, wireOf: (stream: HubStream) => Wire): HubStream;
	/** Offers an early copy to every stream that follows its channel; for fallbacks, it looks at every stream. */
	early(envelope: Envelope): void;
	/** Other limits, from now on; streams over a lower cap stay. */
	limit(limits: Partial<StreamLimits>): void;
	/** Resolves when every stream is gone, `graceMs` at the latest. */
	drain(options: { readonly graceMs: number }): Promise<void>;
	/** Ends every stream, now; new ones are taken. Resolves when they are gone. */
	end(reason: Reason): Promise<void>;
	/** Ends the streams of these channels, now. */
	endStreams(channels: readonly Channel[], reason: Reason): void;
	close(): Promise<void>;
}

/**
 * Hearts beat in this many shifts, and those of a shift by the handful: ten thousand in one turn would hold up what is
 * published for 100 ms, and 67 for one.
 */
const SHIFTS = 150;
const BEATS_A_TURN = 8;
/** The share of a drain's grace in which streams are told to go; the rest is for them to go. */
const DRAIN_SPREAD = 0.8;

function feedRequest({ channels, lastEventId, sinceMs }: OpenOptions): FeedRequest {
	return {
		channels,
		...(lastEventId === undefined || lastEventId === "" ? {} : { cursor: lastEventId }),
		...(sinceMs === undefined ? {} : { sinceMs }),
	};
}

export function createHub(options: HubOptions): Hub {
	const clock = options.clock ?? systemClock;
	const ids = options.ids ?? createIds(clock);
	let limits: StreamLimits = { ...DEFAULT_STREAM_LIMITS, ...options.limits };
	const streams = new OpenStreams(SHIFTS);
	const sessions = new Map<string, number>();
	let dirty: HubStream[] = [];
	let turn: NodeJS.Immediate | undefined;
	let heart: Timer | undefined;
	let opened = 0;
	let shift = 0;
	let refusal: string | undefined;
	let whenEmpty: PromiseWithResolvers<void> | undefined;
	let closing: Promise<void> | undefined;

	const flushAll = (): void => {
		const batch = dirty;
		dirty = [];
		turn = undefined;
		for (const stream of batch) {
			stream.isDirty = false;
			stream.flush();
		}
	};
	const beat = (): void => {
		heart = clock.after(limits.heartbeatMs / SHIFTS, beat);
		shift += 1;
		beatSome(streams.shift(shift)[Symbol.iterator]());
	};
	const beatSome = (rest: Iterator<HubStream>): void => {
		for (let beats = 0; beats < BEATS_A_TURN; beats += 1) {
			const next = rest.next();
			if (next.done === true) return;
			next.value.beat();
		}
		nextTurn(beatSome, rest);
	};
	const count = (channels: readonly Channel[], by: 1 | -1): void => {
		for (const channel of channels) {
			const { kind, key } = channel;
			if (kind !== "session") continue;
			const now = (sessions.get(key) ?? 0) + by;
			if (now > 0) {
				sessions.set(key, now);
				continue;
			}
			sessions.delete(key);
			options.left?.(channel);
		}
	};
	const host: StreamHost = {
		clock,
		get limits() {
			return limits;
		},
		isFirst() {
			if (turn !== undefined) return false;
			turn = nextTurn(flushAll);
			return true;
		},
		soon(stream) {
			if (stream.isDirty) return;
			stream.isDirty = true;
			dirty.push(stream);
			turn ??= nextTurn(flushAll);
		},
		released(stream, reason) {
			streams.delete(stream);
			options.observer?.ended(reason);
			if (streams.size > 0) return;
			heart?.cancel();
			heart = undefined;
			whenEmpty?.resolve();
			whenEmpty = undefined;
		},
		follow: (channels) => count(channels, 1),
		unfollow: (channels) => count(channels, -1),
	};
	const endAll = (reason: Reason): void => {
		for (const stream of [...streams]) stream.end(reason);
	};
	/** Waits until every connection has let go; at the deadline they are destroyed. */
	const empty = async (withinMs: number): Promise<void> => {
		if (streams.size === 0) return;
		whenEmpty ??= Promise.withResolvers();
		const waiting = new AbortController();
		await Promise.race([whenEmpty.promise, pause(clock, withinMs, waiting.signal, true)]);
		waiting.abort();
		for (const stream of [...streams]) stream.destroy();
	};

	return {
		get size() {
			return streams.size;
		},
		get sessions() {
			return sessions.size;
		},
		follows: ({ key }) => sessions.has(key),
		get isReady() {
			return refusal === undefined;
		},
		open(asked, encoding, wireOf) {
			if (refusal !== undefined) throw new FanoutError("Closed", refusal, { retryable: true });
			if (streams.size >= limits.maxStreams) {
				throw new FanoutError("TooManyStreams", `${limits.maxStreams} client streams are open, the most accepted`, {
					retryable: true,
					data: { maxStreams: limits.maxStreams },
				});
			}
			const channels = typeof asked.channels === "function" ? asked.channels() : asked.channels;
			const request = { ...asked, channels };
			opened += 1;
			const stream = new HubStream(host, opened, encoding, request);
			streams.add(stream);
			heart ??= clock.after(limits.heartbeatMs / SHIFTS, beat);
			try {
				stream.open(wireOf(stream), (sink) => options.openFeed(feedRequest(request), sink));
			} catch (error) {
				stream.gone();
				throw error;
			}
			return stream;
		},
		early(envelope) {
			for (const stream of streams) stream.early(envelope);
		},
		limit(given) {
			limits = { ...DEFAULT_STREAM_LIMITS, ...given };
		},
		async drain({ graceMs }) {
			refusal ??= "this instance is draining";
			const pace = { spreadMs: graceMs * DRAIN_SPREAD, clock, ids };
			const stop = paceOut(streams, pace, (stream) => stream.end("moved"));
			await empty(graceMs);
			stop();
		},
		end(reason) {
			endAll(reason);
			return empty(limits.endGraceMs);
		},
		endStreams(channels, reason) {
			const keys = new Set(channels.map(({ key }) => key));
			for (const stream of [...streams]) if (stream.followsAny(keys)) stream.end(reason);
		},
		close() {
			closing ??= (async () => {
				refusal = "this instance has closed";
				endAll("shutdown");
				await empty(limits.endGraceMs);
				cancelTurn(turn);
			})();
			return closing;
		},
	};
}
