/**
 * What one client stream hears: a track on every lane it follows, one cursor over all of them, and the home-lane
 * rule, by which an envelope on several lanes is shown once: only the copy on the first of the envelope's lanes that
 * this stream follows is shown; a copy on a lane that the envelope does not name is an early one, shown without a
 * cursor and remembered until its home copy passes. A sink that throws is reported and ended; it starves nobody.
 */
import type { Channel } from "../core/channel.ts";
import type { Feed, FeedRequest, Reason, Sink, StreamObserver } from "../core/client-feed.ts";
import type { Clock, Timer } from "../core/clock.ts";
import { MAX_LANES, NO_LANES } from "../core/cursor.ts";
import type { Envelope } from "../core/envelope.ts";
import { asFanoutError, FanoutError } from "../core/errors.ts";
import { BEGINNING, type Position } from "../core/position.ts";
import type { Entry } from "../core/transport.ts";
import { EarlyCopies, TakenEarly } from "./early-copies.ts";
import type { Engine } from "./engine.ts";
import { type ExchangedFeed, JoinedLater } from "./joined-later.ts";
import { placeByCursor } from "./place-by-cursor.ts";
import { type Loss, Track, type TrackHost } from "./track.ts";

const DEFAULT_FEED = {
	/** How long a stream waits for lanes to open before it goes on without them; without a place there, told `gap`. */
	openTimeoutMs: 5_000,
} as const;

/** Where a track is before its lane has opened: nowhere, and no cursor lists it. Known by its identity. */
const UNPLACED: Position = { ...BEGINNING };
/** In the place of each stream's own, once it has resolved. */
const OPENED = Promise.resolve();
const isLate = ({ lane }: Track): boolean => !lane.isOpen;

export interface FeedDeps {
	readonly engines: readonly Engine[];
	readonly clock: Clock;
	report(error: FanoutError): void;
	readonly openTimeoutMs?: number | undefined;
	/** Those of all feeds of the process. */
	readonly earlyCopies?: EarlyCopies | undefined;
	readonly observer?: StreamObserver | undefined;
	/** The feeds that are open: who exchanges engines reaches them by it. */
	readonly open?: Set<ExchangedFeed> | undefined;
}

export function openFeed(deps: FeedDeps, request: FeedRequest, sink: Sink): Feed {
	return new StreamFeed(deps, request, sink);
}

class StreamFeed implements Feed, TrackHost, ExchangedFeed {
	opened: Promise<void>;
	readonly #deps: FeedDeps;
	readonly #sink: Sink;
	readonly #sinceMs: number;
	/** When its client came here from elsewhere, by wall time. */
	readonly #cameAt: number;
	/** Made when first needed: most streams never take an early copy. */
	#early: TakenEarly | undefined;
	/** In the order of opening: the order of lanes in the cursor. */
	#tracks: Track[] = [];
	#later: JoinedLater | undefined;
	#closed = false;

	constructor(deps: FeedDeps, request: FeedRequest, sink: Sink) {
		this.#deps = deps;
		this.#sink = sink;
		this.#sinceMs = request.sinceMs ?? 0;
		this.#cameAt = request.cursor === undefined ? 0 : this.clock.now();
		if (!Number.isFinite(this.#sinceMs)) throw new FanoutError("InvalidCursor", "sinceMs must be a time in ms");
		const channels = new Map(request.channels.map((channel) => [channel.key, channel]));
		try {
			for (const channel of channels.values()) this.#acquire(channel);
		} catch (error) {
			this.close();
			throw error;
		}
		deps.open?.add(this);
		this.opened = this.#open(request.cursor);
	}

	get clock(): Clock {
		return this.#deps.clock;
	}

	get cursor(): string {
		let text = NO_LANES;
		for (const track of this.#tracks) if (track.position !== UNPLACED) text += track.part;
		return text;
	}

	async add(channel: Channel): Promise<void> {
		if (this.#closed || this.#tracks.some((track) => track.lane.channel.key === channel.key)) return;
		const added = this.#acquire(channel);
		await this.#join(added, undefined);
	}

	async follow(engine: Engine): Promise<void> {
		const channels = new Map(this.#tracks.map(({ lane }) => [lane.channel.key, lane.channel]));
		const added: Track[] = [];
		try {
			for (const channel of channels.values()) added.push(...this.#acquire(channel, [engine]));
		} catch (error) {
			this.report(asFanoutError(error, "TooManyChannels", "a client stream cannot follow one more transport"));
			this.ended("gap");
			return;
		}
		this.#later ??= new JoinedLater();
		for (const track of added) this.#later.expect(track);
		await this.#join(added, engine.transport.capabilities.reach === "process" ? undefined : "gap");
	}

	async #join(added: readonly Track[], told: Loss | undefined): Promise<void> {
		// A cursor before that would list these lanes alone.
		await this.opened;
		const late = await this.#lanesOpen(added);
		if (this.#closed) return;
		for (const track of added) if (!late.has(track)) this.#place(track);
		this.#call(() => this.#sink.cursor(this.cursor));
		this.#begin(added, late, told);
	}

	#place(track: Track): void {
		track.position = track.lane.seen;
		this.#later?.begins(track, this.#tracks);
	}

	remove(channel: Channel): void {
		const removed = this.#tracks.filter((track) => track.lane.channel.key === channel.key);
		if (this.#closed || removed.length === 0) return;
		this.#tracks = this.#tracks.filter((track) => !removed.includes(track));
		for (const track of removed) track.close();
		if (this.cursor !== NO_LANES) this.#call(() => this.#sink.cursor(this.cursor)); // else it is not open yet
	}

	early(envelope: Envelope): void {
		this.#early ??= new TakenEarly(this.#deps.earlyCopies ?? new EarlyCopies(this.clock));
		if (this.#closed || this.#early.has(envelope) || !this.#early.hasRoom(envelope)) return;
		const home = this.#home(envelope);
		// What came since it was published came elsewhere, was replayed, or is more than the window holds: it comes, or has come.
		const unknownUntil = Math.max(this.#cameAt, home?.replayedAt ?? 0, home?.lane.recent?.forgottenAt ?? 0);
		if (home !== undefined && unknownUntil >= envelope.publishedAt) return;
		if (home?.lane.recent?.passed(envelope.id, home.position)) return;
		// What a filter holds back now it may let pass when the home copy comes.
		if (this.#show(envelope, undefined, false)) this.#early.add(envelope);
	}

	close(): void {
		if (this.#closed) return;
		this.#closed = true;
		this.#deps.open?.delete(this);
		for (const track of this.#tracks) track.close();
	}

	// What tracks say.

	take(track: Track, entry: Entry): void {
		const { envelope } = entry;
		if (envelope === undefined) {
			this.mark("gap");
			return;
		}
		if (this.#isShownFrom(track, envelope)) this.#show(envelope, this.cursor, !track.isLive);
		else this.#call(() => this.#sink.passed?.());
	}

	#isShownFrom(track: Track, envelope: Envelope): boolean {
		// What is live came after the opening, whatever its publisher's clock says.
		if (!track.isLive && envelope.publishedAt < this.#sinceMs) return false;
		const { name } = track.engine.transport;
		if (envelope.lanes[0] !== name) {
			if (!envelope.lanes.includes(name)) this.early(envelope);
			if (this.#home(envelope) !== track) return false;
		}
		return !(this.#closed || this.#early?.delete(envelope) || this.#later?.wasShown(track, envelope.id));
	}

	/** Whether it was shown. */
	#show(envelope: Envelope, cursor: string | undefined, isReplay: boolean): boolean {
		try {
			const shown = this.#sink.deliver(envelope, cursor);
			if (shown === false) return false;
			if (shown === "gap") this.#deps.observer?.lost(shown);
			else this.#deps.observer?.shown(envelope, isReplay);
			return true;
		} catch (error) {
			this.#failed(error);
			return false;
		}
	}

	mark(reason: Loss): void {
		this.#call(() => this.#sink.mark(reason, this.cursor));
		this.#deps.observer?.lost(reason);
	}

	ended(reason: Reason): void {
		if (this.#closed) return;
		this.close();
		try {
			this.#sink.end(reason);
		} catch (error) {
			this.report(asFanoutError(error, "Closed", "a client stream could not be ended"));
		}
	}

	room(): Promise<void> | undefined {
		return this.#sink.room?.();
	}

	report(error: FanoutError): void {
		this.#deps.report(error);
	}

	/** The track of this stream that an envelope is shown from: the first of the envelope's lanes that it follows. */
	#home(envelope: Envelope): Track | undefined {
		for (const name of envelope.lanes) {
			const track = this.#tracks.find(
				({ lane, engine }) => engine.transport.name === name && lane.channel.key === envelope.channel.key,
			);
			if (track !== undefined && this.#later?.isExpected(track) !== true) return track;
		}
		return undefined;
	}

	#acquire(channel: Channel, engines = this.#deps.engines): Track[] {
		if (this.#tracks.length + engines.length > MAX_LANES) {
			throw new FanoutError("TooManyChannels", `a client stream follows at most ${MAX_LANES} lanes`, {
				data: { maxLanes: MAX_LANES, lanesPerChannel: engines.length },
			});
		}
		const tracks = engines.map((engine) => new Track(engine, engine.acquire(channel), UNPLACED, this));
		this.#tracks = this.#tracks.concat(tracks);
		return tracks;
	}

	async #open(cursor: string | undefined): Promise<void> {
		// What comes meanwhile begins by itself (#join).
		const tracks = this.#tracks;
		const late = await this.#lanesOpen(tracks);
		if (this.#closed) return;
		const told = cursor === undefined ? undefined : placeByCursor(cursor, tracks, late, this);
		if (cursor === undefined) for (const track of tracks) if (!late.has(track)) track.position = track.lane.seen;
		this.#call(() => this.#sink.cursor(this.cursor));
		// A lane that opens late goes on from where the cursor says: only without a place is anything missed meanwhile.
		const isMissing = [...late].some(({ position }) => position === UNPLACED);
		this.#begin(tracks, late, isMissing ? "gap" : told);
		this.opened = OPENED;
	}

	/** Starts tracks; those whose lanes open late join when they do. */
	#begin(tracks: readonly Track[], late: ReadonlySet<Track>, told: Loss | undefined): void {
		if (told !== undefined) this.mark(told);
		for (const track of tracks) {
			if (!late.has(track)) track.start();
			else track.whenOpen.then(() => this.#late(track));
		}
	}

	/** A lane opened late: what it had meanwhile is missing here, unless a cursor says from where. */
	#late(track: Track): void {
		if (!track.lane.isOpen || !this.#tracks.includes(track)) return;
		if (track.position === UNPLACED) {
			this.#place(track);
			this.mark("gap");
		}
		track.start();
	}

	/** Waits for lanes that may open, not longer than the deadline; returns the tracks whose lanes are late. */
	async #lanesOpen(tracks: readonly Track[]): Promise<Set<Track>> {
		const expected = tracks.filter((track) => isLate(track) && !track.engine.isLate);
		if (expected.length > 0) {
			let timer: Timer | undefined;
			const deadline = new Promise<void>((resolve) => {
				timer = this.clock.after(this.#deps.openTimeoutMs ?? DEFAULT_FEED.openTimeoutMs, resolve, true);
			});
			await Promise.race([Promise.all(expected.map((track) => track.whenOpen)), deadline]);
			timer?.cancel();
		}
		return new Set(tracks.filter(isLate));
	}

	#call(say: () => void): void {
		if (this.#closed) return;
		try {
			say();
		} catch (error) {
			this.#failed(error);
		}
	}

	#failed(error: unknown): void {
		this.report(asFanoutError(error, "Closed", "a client stream failed"));
		this.ended("closed");
	}
}
