/**
 * One lane as this process follows it: whatever the transport loses, repeats or delays, followers see its entries
 * in order, once, or are told. States:
 *
 *   opening --ready--> live --hole, suspect end, other epoch--> filling --target seen--> live
 *
 * Only `#append` and `#jump` move `seen`, and both tell every follower at once; entries that arrive meanwhile, from a
 * follower that publishes too, wait in one bounded stash and are judged again afterwards.
 */
import { type BackoffLimits, fullJitter } from "../core/backoff.ts";
import type { Channel } from "../core/channel.ts";
import { type Clock, pause } from "../core/clock.ts";
import { laneTag } from "../core/cursor.ts";
import { asFanoutError, FanoutError } from "../core/errors.ts";
import { BEGINNING, isAtOrBefore, NO_EPOCH, type Position, samePosition } from "../core/position.ts";
import { type Bounds, type Entry, type Page, prevOffset, type Subscription } from "../core/transport.ts";
import { CursorPart } from "./cursor-part.ts";
import { DEFAULT_RECENT, Recent, type RecentLimits } from "./recent.ts";
import { Stash } from "./stash.ts";

/** What a lane needs of its engine. */
export interface LaneHost {
	readonly clock: Clock;
	/** Uniform in [0, 1): spreads the retries. */
	random(): number;
	subscribe(channel: Channel, lane: Lane): Subscription;
	read(channel: Channel, from: Position): Promise<Page>;
	ends(channel: Channel): Promise<Bounds>;
	/** The transport's place, as cursors spell it. */
	readonly place: number;
	report(error: FanoutError): void;
}

export interface Follower {
	entry(entry: Entry): void;
	/** The lane goes on at `position`; what stood between is gone. */
	jump(reason: "gap" | "retention" | "epoch", position: Position): void;
	ended(reason: "moved" | "expired" | "gap"): void;
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

export class Lane {
	readonly channel: Channel;
	readonly tag: string;
	/** Resolves when the lane is live for the first time; rejects only when the lane is closed before. */
	readonly opened: Promise<void>;
	readonly #opening = Promise.withResolvers<void>();
	readonly #host: LaneHost;
	readonly #limits: LaneLimits;
	readonly #followers = new Set<Follower>();
	readonly #recent: Recent;
	readonly #stop = new AbortController();
	#subscription: Subscription | undefined;
	#state: Lane["state"] = "opening";
	readonly #stash: Stash;
	readonly cursorPart: CursorPart;
	#filled: Promise<void> = Promise.resolve();
	#telling = false;

	constructor(channel: Channel, host: LaneHost, limits: LaneLimits = DEFAULT_LANE) {
		this.channel = channel;
		this.tag = laneTag(channel);
		this.#host = host;
		this.#limits = limits;
		this.#recent = new Recent(BEGINNING, limits.recent);
		this.#stash = new Stash(limits.recent.count);
		this.cursorPart = new CursorPart(this.tag, host.place, host.clock);
		this.opened = this.#opening.promise;
		this.opened.catch(() => {});
		this.#open();
	}

	/** Everything up to here was handed to followers. */
	get seen(): Position {
		return this.#recent.end;
	}

	get state(): "opening" | "live" | "filling" | "closed" {
		return this.#state;
	}

	// What the transport says.

	entry(entry: Entry): void {
		if (this.#state === "live" && !this.#telling) {
			this.#judge(entry);
			this.#settle();
		} else if (this.#state !== "closed") this.#stash.keep(entry);
	}

	suspect(end?: Position): void {
		if (this.#state === "opening" || this.#state === "closed") return;
		const { seen } = this;
		const isBehind = end?.epoch === seen.epoch ? end.offset < seen.offset : end?.epoch === NO_EPOCH;
		// How far this lane was when that end was asked for is not known: one that is behind decides nothing.
		if (end === undefined || isBehind) this.check().catch((error) => this.#host.report(error));
		else this.compare(end, seen);
	}

	ended(reason: "moved" | "expired" | "gap"): void {
		const followers = [...this.#followers];
		this.close();
		for (const follower of followers) follower.ended(reason);
	}

	// What the engine and the tracks ask.

	/** Asks the log for its end and repairs up to it; resolves when the lane is as far as the end was. */
	async check(): Promise<void> {
		const asked = this.seen;
		const { end } = await this.#host.ends(this.channel);
		this.compare(end, asked);
		await this.#filled;
	}

	/** Judges an authoritative end against what had been seen when it was asked for. */
	compare(end: Position, asked: Position): void {
		if (this.#state === "opening" || this.#state === "closed") return;
		const { seen } = this;
		const isShorter = end.epoch === seen.epoch && end.epoch === asked.epoch && end.offset < asked.offset;
		const isGone = end.epoch === NO_EPOCH && asked.epoch !== NO_EPOCH;
		if (isShorter || (isGone && samePosition(asked, seen))) this.#jump("epoch", end);
		else if (!isGone && !isAtOrBefore(end, seen)) this.#fill(end);
		this.#settle();
	}

	/** The entries after a position when memory still has them all; not for a position that the lane has not reached. */
	after(position: Position): Entry[] | undefined {
		return this.#recent.after(position);
	}

	/** Whether this envelope passed at or before `position`, as far as memory goes back. */
	passed(id: string, position: Position): boolean {
		return this.#recent.passed(id, position);
	}

	read(from: Position): Promise<Page> {
		return this.#host.read(this.channel, from);
	}

	follow(follower: Follower): void {
		this.#followers.add(follower);
	}

	unfollow(follower: Follower): void {
		this.#followers.delete(follower);
	}

	close(): void {
		if (this.#state === "closed") return;
		this.#state = "closed";
		this.#opening.reject(new FanoutError("Closed", "the lane is closed"));
		this.#stop.abort();
		this.#subscription?.close();
		this.#followers.clear();
		this.#stash.clear();
	}

	async #open(): Promise<void> {
		for (let attempt = 0; !this.#stop.signal.aborted; attempt += 1) {
			try {
				this.#subscription = this.#host.subscribe(this.channel, this);
				const end = await this.#subscription.ready;
				if (this.#state === "closed") return;
				this.#recent.reset(end);
				this.#state = "live";
				this.#settle();
				return this.#opening.resolve();
			} catch (error) {
				if (this.#stop.signal.aborted) return;
				this.#subscription?.close();
				this.#host.report(asFanoutError(error, "TransportUnavailable", "a lane could not be subscribed", true));
			}
			await this.#backOff(attempt);
		}
	}

	#judge(entry: Entry): void {
		const { position } = entry;
		if (position.epoch === this.seen.epoch && position.offset <= this.seen.offset) return;
		const continues = position.epoch === this.seen.epoch || (this.seen.epoch === NO_EPOCH && this.seen.offset === 0n);
		if (continues && prevOffset(entry) === this.seen.offset) this.#append(entry);
		else {
			this.#stash.keep(entry);
			this.#fill(position);
		}
	}

	#append(entry: Entry): void {
		this.#recent.push(entry);
		this.#tell((follower) => follower.entry(entry));
	}

	#jump(reason: "gap" | "retention" | "epoch", position: Position): void {
		this.#recent.reset(position);
		this.#tell((follower) => follower.jump(reason, position));
	}

	#tell(say: (follower: Follower) => void): void {
		this.#telling = true;
		for (const follower of this.#followers) say(follower);
		this.#telling = false;
	}

	/** Judges what waited, in order; may start a fill, which settles again. */
	#settle(): void {
		while (this.#state === "live" && this.#stash.size > 0) {
			for (const entry of this.#stash.take()) {
				if (this.#state === "live") this.#judge(entry);
				else this.#stash.keep(entry);
			}
		}
		const { target } = this.#stash;
		if (this.#state === "live" && target !== undefined && !isAtOrBefore(target, this.seen)) this.#fill(target);
	}

	#fill(target: Position): void {
		this.#stash.aim(target);
		if (this.#state !== "live") return;
		this.#state = "filling";
		this.#filled = this.#fillLoop().then(() => {
			if (this.#state !== "filling") return;
			this.#state = "live";
			this.#settle();
		});
	}

	/** Reads on until the target was seen, or until the log's authoritative end says that there is no more. */
	async #fillLoop(): Promise<void> {
		let reachable = this.#host.clock.monotonic();
		let before: Position | undefined;
		for (let attempt = 0; this.#state === "filling"; ) {
			const doubted = this.#stash.snapshot();
			try {
				const page = await this.read(this.seen);
				if (this.#state !== "filling") return;
				this.#take(page);
				if (page.more && page.entries.length > 0) continue;
				const { target } = this.#stash;
				if (target === undefined || isAtOrBefore(target, this.seen)) return;
				const { end } = await this.#host.ends(this.channel);
				if (this.#state !== "filling") return;
				this.#stash.dropBeyond(end, doubted);
				const late = this.#host.clock.monotonic() - reachable > this.#limits.missingMs;
				if (this.#reached(end, page, late, before)) return this.#stash.correct(undefined);
				this.#stash.correct(end);
				before = end;
			} catch (error) {
				this.#host.report(asFanoutError(error, "TransportUnavailable", "a lane's hole could not be read", true));
				reachable = this.#host.clock.monotonic();
			}
			await this.#backOff(attempt++);
		}
	}

	/** Whether a fill is over at this end: all of it was seen, or its absence was told. `before` was asked before the page. */
	#reached(end: Position, page: Page, late: boolean, before: Position | undefined): boolean {
		if (samePosition(end, this.seen)) return true;
		if (end.epoch === this.seen.epoch && end.offset < this.seen.offset) this.#jump("epoch", end);
		else if (page.entries.length === 0 && page.verdict !== "whole") {
			// Up to an older end only: a new log may have got entries since the page.
			if (before?.epoch !== end.epoch) return false;
			this.#jump(page.verdict, before);
			return samePosition(before, end);
		} else if (end.epoch === NO_EPOCH) this.#jump("epoch", end);
		else if (late) this.#jump("gap", end);
		else return false;
		return true;
	}

	#take(page: Page): void {
		const first = page.entries[0];
		if (page.verdict !== "whole") {
			// Without an entry the log is empty: stay until it has one, since its epoch is not known before.
			if (first === undefined) return;
			this.#jump(page.verdict, { epoch: first.position.epoch, offset: prevOffset(first) });
		}
		for (const entry of page.entries) {
			if (!isAtOrBefore(entry.position, this.seen)) this.#append(entry);
		}
	}

	#backOff(attempt: number): Promise<void> {
		const ms = fullJitter(attempt, this.#limits.retry, () => this.#host.random());
		return pause(this.#host.clock, ms, this.#stop.signal);
	}
}
