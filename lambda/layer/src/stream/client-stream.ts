/**
 * One client stream, whatever carries it: opening, open, ended, released. It is the engine's sink: it never blocks and
 * never throws. While its wire takes what it gets, frames go to the wire as text; the hub's first of a turn of the event
 * loop leaves at once, all others at the end of the turn. While the wire pushes back they wait in a bounded queue, and
 * when that is full the stream ends with `slow-consumer`. An ended stream writes its end frame, and its wire has
 * `endGraceMs` to take it; one that throws is lost.
 */
import type { Channel } from "../core/channel.ts";
import type { Feed, Reason, Sink } from "../core/client-feed.ts";
import type { Timer } from "../core/clock.ts";
import type { Envelope } from "../core/envelope.ts";
import { FanoutError } from "../core/errors.ts";
import { compileFilter, type Filter } from "./filter.ts";
import { type Encoding, messageJson } from "./frames.ts";
import { type ClientStream, MAX_CURSOR_AGE, type OpenOptions, type StreamChange } from "./port.ts";
import { FrameQueue, invalidationKey, type QueuedFrame } from "./queue.ts";
import type { StreamHost } from "./stream-host.ts";
import type { Wire } from "./wire.ts";

export class HubStream implements ClientStream, Sink {
	/** Counts the streams of this process. */
	readonly number: number;
	/** Set by the hub while the stream waits for the turn's flush. */
	isDirty = false;
	readonly #host: StreamHost;
	readonly #encoding: Encoding;
	readonly #isCoalescing: boolean;
	readonly #hasCursorFrames: boolean;
	#channels: readonly Channel[];
	#filter: Filter | undefined;
	#isStarted = false;
	#isEnded = false;
	#isReleased = false;
	#reason: Reason = "closed";
	/** Heartbeats since the client's last cursor; the most where what passed since was not shown, or shown early. */
	#cursorAge = 0;
	#wire: Wire | undefined;
	#feed: Feed | undefined;
	#queue: FrameQueue | undefined;
	/** Since when the wire takes nothing; undefined while it does. */
	#blockedAt: number | undefined;
	#linger: Timer | undefined;
	#room: PromiseWithResolvers<void> | undefined;
	#closed: PromiseWithResolvers<Reason> | undefined;

	constructor(host: StreamHost, number: number, encoding: Encoding, options: OpenOptions) {
		this.#filter = compileFilter(options.filter);
		this.number = number;
		this.#host = host;
		this.#encoding = encoding;
		this.#isCoalescing = options.coalesce ?? false;
		this.#hasCursorFrames = options.cursorFrames ?? true;
		this.#channels = options.channels;
		host.follow(this.#channels);
	}

	get id(): string {
		return String(this.number);
	}

	get opened(): Promise<void> {
		return this.#feed?.opened ?? Promise.reject(new FanoutError("Closed", "the stream was never opened"));
	}

	get closed(): Promise<Reason> {
		this.#closed ??= Promise.withResolvers();
		if (this.#isReleased) this.#closed.resolve(this.#reason);
		return this.#closed.promise;
	}

	/** Opens the feed, then starts the wire; throws what the feed throws, with the wire untouched. */
	open(wire: Wire, openFeed: (sink: Sink) => Feed): void {
		this.#wire = wire;
		const feed = openFeed(this);
		this.#feed = feed;
		// The caller reads the error from `opened`; the client is told that what follows is not promised.
		feed.opened.catch(() => this.end("gap"));
		if (this.#isEnded) feed.close();
		wire.start();
		this.#isStarted = true;
		if (this.#isReleased) return; // the client had left before its head was written
		if (this.#isEnded) this.#finish();
		else this.flush();
	}

	deliver(envelope: Envelope, cursor: string | undefined): unknown {
		if (this.#isEnded) return false;
		const isShown = this.#filter?.(envelope.message) !== false;
		if (cursor !== undefined) this.#cursorAge = isShown ? 0 : MAX_CURSOR_AGE;
		if (!isShown) return false;
		let json: string;
		try {
			json = messageJson(envelope);
		} catch {
			// A cycle or a BigInt that never crossed a wire, or what is nested deeper than there is stack: told as a hole is. A
			// stream that ended with it would come back to it for ever.
			if (cursor === undefined) return false;
			this.mark("gap", cursor);
			return "gap";
		}
		if (this.#isDirect) this.#append(this.#encoding.message(json, cursor));
		else this.#enqueue(json, cursor, true, this.#isCoalescing ? invalidationKey(envelope.message) : undefined);
		return true;
	}

	mark(reason: "gap" | "retention" | "epoch", cursor: string): void {
		this.#show(this.#encoding.mark(reason, cursor));
	}

	cursor(cursor: string): void {
		this.#cursorAge = 0;
		if (this.#hasCursorFrames) this.#show(this.#encoding.cursor(cursor));
	}

	passed(): void {
		this.#cursorAge = MAX_CURSOR_AGE;
	}

	end(reason: Reason): void {
		if (reason !== "slow-consumer") this.flush();
		if (this.#isEnded) return;
		this.#stop(reason);
		if (this.#isStarted) this.#finish();
	}

	async update(change: StreamChange): Promise<void> {
		const feed = this.#feed;
		if (this.#isEnded || feed === undefined) throw new FanoutError("Closed", "the stream has ended");
		if (change.filter !== undefined) this.#filter = compileFilter(change.filter);
		for (const channel of change.remove ?? []) {
			feed.remove(channel);
			this.#leave(channel);
		}
		for (const channel of change.add ?? []) {
			if (this.#channels.some(({ key }) => key === channel.key)) continue;
			// Ours before the wait: it may be removed while it is being added.
			this.#channels = [...this.#channels, channel];
			this.#host.follow([channel]);
			try {
				await feed.add(channel);
			} catch (error) {
				this.#leave(channel);
				throw error;
			}
			if (this.#isEnded) throw new FanoutError("Closed", "the stream ended while a channel was added");
		}
	}

	#leave(channel: Channel): void {
		const left = this.#channels.filter(({ key }) => key !== channel.key);
		if (left.length === this.#channels.length || this.#isReleased) return;
		this.#channels = left;
		this.#host.unfollow([channel]);
	}

	close(reason: "closed" | "expired" = "closed"): void {
		this.end(reason);
	}

	/** The hub's turn is over: everything appended and queued goes out, as far as the wire takes it. */
	flush(): void {
		const wire = this.#wire;
		if (this.#isEnded || !this.#isStarted || wire === undefined || this.#blockedAt !== undefined) return;
		try {
			do {
				this.#queue?.drain(({ text, cursor, isMessage }) => {
					wire.append(isMessage ? this.#encoding.message(text, cursor) : text);
					return wire.size < this.#host.limits.maxTurnBytes;
				});
				if (this.#queue?.size === 0) this.#queue = undefined;
				if (!wire.flush()) this.#blockedAt = this.#host.clock.monotonic();
			} while (this.#queue !== undefined && this.#blockedAt === undefined && !this.#isEnded);
		} catch {
			this.destroy();
		}
		if (this.#room !== undefined && this.room() === undefined) this.#makeRoom();
	}

	room(): Promise<void> | undefined {
		if (this.#isEnded || this.#blockedAt === undefined) return undefined;
		this.#room ??= Promise.withResolvers();
		return this.#room.promise;
	}

	/** The wire takes again. */
	drained(): void {
		this.#blockedAt = undefined;
		this.flush();
	}

	/** The wire has let go, for whatever reason. */
	gone(): void {
		if (this.#isReleased) return;
		if (!this.#isEnded) this.#stop("closed");
		this.#isReleased = true;
		this.#wire = undefined;
		this.#linger?.cancel();
		this.#host.unfollow(this.#channels);
		this.#host.released(this, this.#reason);
		this.#closed?.resolve(this.#reason);
	}

	followsAny(keys: ReadonlySet<string>): boolean {
		return !this.#isEnded && this.#channels.some(({ key }) => keys.has(key));
	}

	/** A copy that stands in for one that a lane refused for the moment, if this stream follows its channel. */
	early(envelope: Envelope): void {
		if (!this.#isEnded && this.#channels.some(({ key }) => key === envelope.channel.key)) this.#feed?.early(envelope);
	}

	beat(): void {
		if (this.#isEnded || !this.#isStarted || this.#wire === undefined) return;
		if (this.#blockedAt === undefined) {
			this.#attempt((wire) => wire.beat());
			// Or its client would come back to a place that the log may have left, or to what it was shown early.
			if (this.#cursorAge++ >= MAX_CURSOR_AGE && this.#feed !== undefined) this.cursor(this.#feed.cursor);
			this.#host.soon(this);
		} else if (this.#host.clock.monotonic() - this.#blockedAt >= this.#host.limits.maxStallMs) {
			this.end("slow-consumer");
		}
	}

	/** Without a goodbye: a grace is over. */
	destroy(): void {
		try {
			this.#wire?.destroy();
		} catch {} // it is let go all the same
		this.gone();
	}

	#attempt(say: (wire: Wire) => void): void {
		try {
			if (this.#wire !== undefined) say(this.#wire);
		} catch {
			this.destroy();
		}
	}

	#stop(reason: Reason): void {
		this.#isEnded = true;
		this.#reason = reason;
		this.#queue = undefined;
		this.#feed?.close();
		this.#makeRoom();
	}

	#makeRoom(): void {
		this.#room?.resolve();
		this.#room = undefined;
	}

	#finish(): void {
		if (this.#wire === undefined) return;
		this.#linger = this.#host.clock.after(this.#host.limits.endGraceMs, () => this.destroy());
		this.#attempt((wire) => {
			wire.append(this.#encoding.end(this.#reason));
			wire.flush();
			wire.finish(this.#reason);
		});
	}

	#show(frame: string): void {
		if (this.#isEnded) return;
		if (this.#isDirect) this.#append(frame);
		else this.#enqueue(frame, undefined, false, undefined);
	}

	/** Frames go straight to the wire's text: nothing waits before them, and it is not more than a turn may bring. */
	get #isDirect(): boolean {
		if (this.#blockedAt !== undefined || this.#queue !== undefined || this.#isCoalescing) return false;
		return this.#isStarted || (this.#wire?.size ?? 0) < this.#host.limits.maxTurnBytes;
	}

	#append(frame: string): void {
		const wire = this.#wire as Wire;
		wire.append(frame);
		// One turn may bring more than a queue may hold: it goes out early rather than growing.
		const isFull = wire.size >= this.#host.limits.maxTurnBytes;
		if (isFull || (this.#isStarted && this.#host.isFirst())) this.flush();
		else this.#host.soon(this);
	}

	#enqueue(text: string, cursor: string | undefined, isMessage: boolean, key: string | undefined): void {
		const frame = { text, cursor, isMessage };
		if (!this.#push(frame, key)) {
			// A coalescing stream queues within its turn too: that queue being full says nothing about its client.
			this.flush();
			if (this.#isEnded) return;
			if (!this.#push(frame, key)) this.end("slow-consumer");
		}
		if (this.#blockedAt === undefined) this.#host.soon(this);
	}

	#push(frame: QueuedFrame, key: string | undefined): boolean {
		const { maxQueuedFrames, maxQueuedBytes } = this.#host.limits;
		this.#queue ??= new FrameQueue(maxQueuedFrames, maxQueuedBytes);
		return this.#queue.push(frame, key);
	}
}
