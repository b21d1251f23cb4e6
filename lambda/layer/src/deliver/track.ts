/**
 * One client stream on one lane: a position, and either apart from the lane (waiting for it, or replaying pages until
 * the position is inside its recent window) or joined (the lane hands over each entry). Joining happens in the same turn
 * as the last look into the window, so nothing is between the two and nothing needs buffering.
 */
import { type Clock, pause } from "../core/clock.ts";
import { asFanoutError, type FanoutError } from "../core/errors.ts";
import { isAtOrBefore, NO_EPOCH, type Position, samePosition } from "../core/position.ts";
import { type Entry, prevOffset } from "../core/transport.ts";
import type { Engine } from "./engine.ts";
import type { Follower } from "./followers.ts";
import type { Lane } from "./lane.ts";

export type Loss = "gap" | "retention" | "epoch";

/** What a track needs of its feed. */
export interface TrackHost {
	readonly clock: Clock;
	take(track: Track, entry: Entry): void;
	mark(reason: Loss): void;
	ended(reason: "moved" | "expired" | "gap"): void;
	room(): Promise<void> | undefined;
	report(error: FanoutError): void;
}

/** Between two looks at a lane or log that is behind: doubles from the first to the second. */
const WAIT_MS = 20;
const WAIT_CAP_MS = 1_000;

export class Track implements Follower {
	readonly lane: Lane;
	readonly engine: Engine;
	position: Position;
	/** What the client's cursor says of a lane that was empty. */
	emptySince: Position | undefined;
	readonly #host: TrackHost;
	/** When it last showed something that was not live, by wall time: an early copy from before may have been among it. */
	replayedAt: number | undefined;
	/** Joined and not live: what its lane hands over may be the past of a log that it jumped to. */
	#state: "apart" | "joined" | "live" | "closed" = "apart";
	#replaying: AbortController | undefined;
	#opening: PromiseWithResolvers<void> | undefined;

	constructor(engine: Engine, lane: Lane, position: Position, host: TrackHost) {
		this.engine = engine;
		this.lane = lane;
		this.position = position;
		this.#host = host;
		lane.follow(this);
	}

	/** Shown as it happens: joined, and in the same log as then. */
	get isLive(): boolean {
		return this.#state === "live";
	}

	/** This lane's part of the stream's cursor. */
	get part(): string {
		const { lane, position, emptySince } = this;
		// Until the lane shows that it still is empty, or what came since was read, it was so then and not now.
		const isUnread = emptySince !== undefined && position.epoch === NO_EPOCH;
		const isEmpty = lane.isOpen && lane.seen.epoch === NO_EPOCH;
		return lane.cursorPart.at(isUnread && !isEmpty ? emptySince : position);
	}

	/** Resolves when the lane is open, or can no longer be waited for. The lane forgets a track that is closed. */
	get whenOpen(): Promise<void> {
		if (this.#isClosed || this.lane.state !== "opening") return Promise.resolve();
		this.#opening ??= Promise.withResolvers();
		return this.#opening.promise;
	}

	/** Brings the stream from its position to the live end; joins at once when memory reaches back far enough. */
	start(): void {
		if (this.#isClosed || this.#join()) return;
		this.#replay().catch((error) => this.#host.report(asFanoutError(error, "TransportUnavailable", "a replay failed")));
	}

	opened(): void {
		this.#opening?.resolve();
		this.#opening = undefined;
	}

	entry(entry: Entry): void {
		if (!this.#isJoined) return;
		// After a jump the lane may read another log's past first.
		if (this.lane.state === "live") this.#state = "live";
		this.#show(entry);
	}

	jump(reason: Loss, position: Position): void {
		if (this.#isJoined) this.#restart(reason, position);
	}

	ended(reason: "moved" | "expired" | "gap"): void {
		if (!this.#isClosed) this.#host.ended(reason);
	}

	close(): void {
		if (this.#isClosed) return;
		this.#state = "closed";
		this.#replaying?.abort();
		this.opened();
		this.lane.unfollow(this);
		this.engine.release(this.lane);
	}

	get #isJoined(): boolean {
		return this.#state === "joined" || this.#state === "live";
	}

	get #isClosed(): boolean {
		return this.#state === "closed";
	}

	#show(entry: Entry): void {
		const { position } = entry;
		if (this.#isClosed || (position.epoch === this.position.epoch && position.offset <= this.position.offset)) return;
		this.position = position;
		if (!this.isLive) this.replayedAt = this.#host.clock.now();
		this.#host.take(this, entry);
	}

	/** A callback may publish while the missed entries are shown, so look again until nothing is missed. */
	#join(): boolean {
		for (;;) {
			const missed = this.lane.after(this.position);
			if (missed === undefined) return false;
			if (this.#isClosed) return true;
			if (missed.length === 0) break;
			for (const entry of missed) {
				if (this.#host.room() !== undefined) return false;
				this.#show(entry);
			}
		}
		// A lane that is filling may be reading the past of another log.
		this.#state = this.lane.state === "live" ? "live" : "joined";
		return true;
	}

	async #replay(): Promise<void> {
		this.#replaying = new AbortController();
		const { signal } = this.#replaying;
		for (let attempt = 0; ; ) {
			await this.#host.room();
			if (this.#isClosed || this.#join()) return;
			if (this.#host.room() !== undefined) continue;
			const before = this.position;
			try {
				await this.#page();
			} catch (error) {
				if (this.#isClosed) return;
				this.#host.report(asFanoutError(error, "TransportUnavailable", "a replay could not be read", true));
			}
			if (!samePosition(before, this.position)) attempt = 0;
			else if (this.lane.after(before) === undefined) {
				const waitMs = Math.min(WAIT_CAP_MS, WAIT_MS * 2 ** Math.min(attempt++, 10));
				await pause(this.#host.clock, waitMs, signal);
			}
		}
	}

	async #page(): Promise<void> {
		// Before the page: what comes while it is on its way is after this.
		const { seen } = this.lane;
		const page = await this.lane.read(this.position);
		if (this.#isClosed) return;
		const [first] = page.entries;
		if (page.verdict !== "whole") {
			// A lane that has yet to hear of it may be handed more of what this stream was shown.
			if (first === undefined && isAtOrBefore(seen, this.position)) return this.lane.check();
			const from = first && { epoch: first.position.epoch, offset: prevOffset(first) };
			this.#restart(page.verdict, from ?? seen);
		}
		for (const entry of page.entries) {
			// A page may be more than the stream's queue can hold, of a client that reads as fast as it can.
			const full = this.#host.room();
			if (full !== undefined) await full;
			if (this.#isClosed) return;
			this.#show(entry);
		}
		if (page.quiet !== undefined) this.#skip(page.quiet);
		if (!page.more && this.lane.after(this.position) === undefined) await this.#wait(page.through);
	}

	/** Nothing is up to there: the stream is as far, though not farther than its lane. */
	#skip(quiet: Position): void {
		const { seen } = this.lane;
		const to = isAtOrBefore(seen, quiet) ? seen : quiet;
		if (isAtOrBefore(this.position, to)) this.position = to;
	}

	/**
	 * The log has no more and the lane is elsewhere: it is behind, or this position is of no log that there is; unless
	 * the log vouches for it, where the lane was opened at another end of an empty channel than this stream was.
	 */
	async #wait(through: Position | undefined): Promise<void> {
		await this.lane.check();
		const { seen } = this.lane;
		if (this.#isClosed || seen.epoch !== this.position.epoch || seen.offset >= this.position.offset) return;
		if (through !== undefined && isAtOrBefore(this.position, through)) this.position = seen;
		else this.#restart("epoch", seen);
	}

	#restart(reason: Loss, position: Position): void {
		this.position = position;
		if (this.#state === "live") this.#state = "joined";
		this.#host.mark(reason);
	}
}
