/**
 * One lane as this process follows it: whatever the transport loses, repeats or delays, followers see its entries
 * in order, once, or are told. States:
 *
 *   opening --ready--> live --hole, suspect end, other epoch--> filling --target seen--> live
 *
 * Once it is open only `#append` and `#jump` move `seen`, and both tell every follower at once; entries that arrive
 * meanwhile, from a follower that publishes too, wait in one bounded stash and are judged again afterwards.
 */
import type { Channel } from "../core/channel.ts";
import type { Timer } from "../core/clock.ts";
import { laneTag } from "../core/cursor.ts";
import { asFanoutError } from "../core/errors.ts";
import { BEGINNING, isAtOrBefore, NO_EPOCH, type Position, samePosition } from "../core/position.ts";
import { type Entry, type Page, prevOffset, type Subscriber } from "../core/transport.ts";
import { CursorPart } from "./cursor-part.ts";
import { type Follower, Followers } from "./followers.ts";
import { backOff, type LaneHost } from "./lane-host.ts";
import { Patience } from "./patience.ts";
import { Recent } from "./recent.ts";
import { Stash } from "./stash.ts";

export class Lane implements Subscriber {
	readonly channel: Channel;
	readonly cursorPart: CursorPart;
	/** Its window; none where the log is in this process's memory itself. */
	readonly recent: Recent | undefined;
	/** The engine's: how many tracks hold this lane, and what closes it when none does for long. */
	users = 0;
	linger: Timer | undefined;
	readonly #host: LaneHost;
	readonly #followers = new Followers();
	#seen: Position = BEGINNING;
	#state: Lane["state"] = "opening";
	#unsubscribe: (() => void) | undefined;
	// Made when first needed: most lanes open at once, and lose and doubt nothing.
	#stop: AbortController | undefined;
	#stash: Stash | undefined;
	#filled: Promise<void> | undefined;
	#telling = false;

	constructor(channel: Channel, host: LaneHost) {
		this.channel = channel;
		this.#host = host;
		this.recent = host.hasWindow ? new Recent(channel, BEGINNING, host.limits.recent) : undefined;
		this.cursorPart = new CursorPart(laneTag(channel), host);
		this.#open();
	}

	/** It has been live, and is not closed. */
	get isOpen(): boolean {
		return this.#state === "live" || this.#state === "filling";
	}

	/** Everything up to here was handed to followers. */
	get seen(): Position {
		return this.#seen;
	}

	get state(): "opening" | "live" | "filling" | "closed" {
		return this.#state;
	}

	entry(entry: Entry): void {
		if (this.#state === "live" && !this.#telling) {
			this.#judge(entry);
			this.#settle();
		} else if (this.#state !== "closed") this.#doubts.keep(entry);
	}

	suspect(end?: Position): void {
		if (this.#state === "opening" || this.#state === "closed") return;
		const isBehind = end?.epoch === this.seen.epoch ? end.offset < this.seen.offset : end?.epoch === NO_EPOCH;
		// How far this lane was when that end was asked for is not known: one that is behind decides nothing.
		if (end === undefined || isBehind) this.check().catch((error) => this.#host.report(error));
		else this.compare(end, this.seen);
	}

	ended(reason: "moved" | "expired" | "gap"): void {
		const followers = this.#followers.list();
		this.close();
		for (const follower of followers) follower.ended(reason);
	}

	// What the engine and the tracks ask.

	/** Asks the log for its end and repairs up to it; resolves when the lane is as far as the end was. */
	async check(): Promise<void> {
		const asked = this.seen;
		const end = await this.#host.end(this.channel);
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
		if (this.recent !== undefined) return this.recent.after(position);
		const { epoch, offset } = this.#seen;
		const isThere = position.offset === offset && (position.epoch === epoch || position.epoch === NO_EPOCH);
		return isThere ? [] : undefined;
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

	/** The transport answers again: what waits after a failure need not. */
	hurry(): void {
		this.#stop?.abort();
	}

	close(): void {
		if (this.#state === "closed") return;
		this.#state = "closed";
		this.#stop?.abort();
		this.#unsubscribe?.();
		this.#followers.each((follower) => follower.opened());
		this.#followers.clear();
		this.#stash = undefined;
	}

	async #open(): Promise<void> {
		if (this.#host.late !== undefined) await this.#host.late;
		for (let attempt = 0; this.#state === "opening"; attempt += 1) {
			try {
				const { ready, close } = this.#host.subscribe(this.channel, this);
				this.#unsubscribe = close;
				this.#seen = await ready;
				if (this.#isClosed) return;
				this.recent?.reset(this.#seen);
				this.#state = "live";
				this.#settle();
				this.#followers.each((follower) => follower.opened());
				return;
			} catch (error) {
				if (this.#isClosed) return;
				this.#unsubscribe?.();
				this.#host.report(asFanoutError(error, "TransportUnavailable", "a lane could not be subscribed", true));
			}
			await this.#backOff(attempt);
		}
	}

	/** Also after a wait, where the compiler takes the state for what it was. */
	get #isClosed(): boolean {
		return this.#state === "closed";
	}

	get #doubts(): Stash {
		this.#stash ??= new Stash(this.#host.limits.recent);
		return this.#stash;
	}

	#judge(entry: Entry): void {
		const { position } = entry;
		if (position.epoch === this.seen.epoch && position.offset <= this.seen.offset) return;
		const continues = position.epoch === this.seen.epoch || (this.seen.epoch === NO_EPOCH && this.seen.offset === 0);
		if (continues && prevOffset(entry) === this.seen.offset) this.#append(entry);
		else {
			this.#doubts.keep(entry);
			this.#fill(position);
		}
	}

	#append(entry: Entry): void {
		this.#seen = entry.position;
		this.recent?.push(entry, this.#host.clock.now());
		this.#tell((follower) => follower.entry(entry));
	}

	#jump(reason: "gap" | "retention" | "epoch", position: Position): void {
		this.#seen = position;
		this.recent?.reset(position);
		this.#tell((follower) => follower.jump(reason, position));
	}

	#tell(say: (follower: Follower) => void): void {
		this.#telling = true;
		this.#followers.each(say);
		this.#telling = false;
	}

	/** Judges what waited, in order; may start a fill, which settles again. */
	#settle(): void {
		const stash = this.#stash;
		if (stash === undefined) return;
		while (this.#state === "live" && stash.size > 0) {
			for (const entry of stash.take()) {
				if (this.#state === "live") this.#judge(entry);
				else stash.keep(entry);
			}
		}
		const { target } = stash;
		if (this.#state === "live" && target !== undefined && !isAtOrBefore(target, this.seen)) this.#fill(target);
	}

	#fill(target: Position): void {
		this.#doubts.aim(target);
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
		const patience = new Patience(this.#host.clock, this.#host.limits.missingMs);
		let before: Position | undefined;
		const stash = this.#doubts;
		for (let attempt = 0; this.#state === "filling"; ) {
			const doubted = stash.snapshot();
			try {
				const { seen } = this;
				const page = await this.read(seen);
				if (this.#state !== "filling") return;
				if (this.seen !== seen) continue; // asked of the log as it was before a jump
				this.#take(page);
				if (this.seen !== seen) patience.renew();
				if (page.more && page.entries.length > 0) continue;
				const { target } = stash;
				if (target === undefined || isAtOrBefore(target, this.seen)) return;
				const end = await this.#host.end(this.channel);
				if (this.#state !== "filling") return;
				stash.dropBeyond(end, doubted);
				const isOver = this.#reached(end, page, patience.isOver(), before);
				stash.correct(target, isOver ? undefined : end);
				if (isOver && stash.target === undefined) return;
				before = end;
			} catch (error) {
				this.#host.report(asFanoutError(error, "TransportUnavailable", "a lane's hole could not be read", true));
				patience.renew();
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
		for (const entry of page.entries) if (!isAtOrBefore(entry.position, this.seen)) this.#append(entry);
	}

	async #backOff(attempt: number): Promise<void> {
		// What was asked before the close may fail after it, and no controller of then would end this wait.
		if (this.#isClosed) return;
		this.#stop = new AbortController();
		await backOff(this.#host, attempt, this.#stop.signal);
	}
}
