/**
 * The ends of one partition's channels, by its leader. One question for the partition's own end answers for every
 * channel that was verified or heard up to there; else the followed channels' last messages are asked for, only those
 * after what is verified, a thousand in a request. A replica that is behind is found by how far it says that it is; then
 * the leader is asked, one channel at a time.
 */
import { type Clock, pause } from "../../core/clock.ts";
import type { Position } from "../../core/position.ts";
import { Turns } from "../../core/turns.ts";
import type { Api } from "./api.ts";
import type { BatchGet } from "./batch-get.ts";
import { Heard } from "./heard.ts";
import { isFresh, type Known, saw, verifiedOfAll } from "./known.ts";
import type { Partition, Snapshot } from "./partition.ts";

/** Of `multi_last`: the server's bound is 1,024, and one is the partition's own. */
const CHUNK = 1_000;
/** Of one answer: the last messages come whole. */
const CHUNK_BYTES = 1024 * 1024;
/** Up to so many channels the leader is asked for each. */
const SINGLY = 2;
/** In one piece of a regular check, at the least; and the shortest rest between two. */
const PIECE = 24;
const PIECE_REST_MS = 2;
/** Between the rounds of many who ask by themselves, as when another instance's streams come here. */
const REST_MS = 20;
const STALE_TRIES = 5;
const STALE = { baseMs: 5, factor: 3 } as const;
const ON_ITS_WAY_MS = 25;
/** Questions to the leader at once. */
const PARALLEL = 64;

export interface Subject {
	readonly key: string;
	readonly log: string;
}

interface Answer {
	readonly snapshot: Snapshot;
	readonly lasts: ReadonlyMap<string, number>;
	readonly isOnItsWay: boolean;
}

export interface LedgerDeps {
	readonly partition: Partition;
	readonly api: Api;
	readonly batchGet: BatchGet;
	readonly clock: Clock;
	readonly epochSubject: string;
	/** Followed channels of this partition, by key. */
	readonly followed: ReadonlyMap<string, Known>;
	readonly stop?: AbortSignal;
}

export class Ledger {
	readonly heard = new Heard();
	readonly #deps: LedgerDeps;
	readonly #turns: Turns<Subject, Answer>;

	constructor(deps: LedgerDeps) {
		this.#deps = deps;
		this.#turns = new Turns((questions) => this.#round(questions), { ...deps, ms: REST_MS });
	}

	/**
	 * What was stored a moment ago may still be on its way as a live copy: an end is told when it had the time to come,
	 * else every check of a busy instance would find "lost" entries and read them once more.
	 */
	async ends(subjects: readonly Subject[]): Promise<Position[]> {
		const answer = await this.#turns.ask(subjects);
		if (answer.isOnItsWay) await pause(this.#deps.clock, ON_ITS_WAY_MS);
		return toEnds(subjects, answer);
	}

	/**
	 * The same for many, as a regular check that takes its time: in small pieces with rests between, for the server and
	 * this process would let live entries wait for a large one. Channels with live copies since the last check are left
	 * to the next: a loss between the copies shows by itself, so a check costs by what is lost, not by what is heard.
	 * Undefined when the log became another one meanwhile, and for a channel that is followed anew.
	 */
	async check(subjects: readonly Subject[], withinMs: number): Promise<(Position | undefined)[] | undefined> {
		const { partition, followed, clock, stop } = this.#deps;
		const before = await partition.inspect();
		const lasts = new Map<string, number>();
		const moved: Subject[] = [];
		const isWhole = this.heard.upTo >= before.last;
		for (const subject of subjects) {
			const known = followed.get(subject.key);
			if (known?.ready && isWhole) known.verified = Math.max(known.verified, before.last);
			if (known?.ready && (isFresh(known) || known.verified >= before.last)) lasts.set(subject.key, known.last);
			else moved.push(subject);
		}
		const followers = new Map(moved.map(({ key }) => [key, followed.get(key)]));
		const sorted = this.#byVerified(moved);
		const most = Math.max(1, Math.floor(withinMs / PIECE_REST_MS));
		const size = Math.min(CHUNK, Math.max(PIECE, Math.ceil(sorted.length / most)));
		const found = new Map<string, number>();
		for (let at = 0; at < sorted.length; at += size) {
			if (at > 0) await pause(clock, withinMs / Math.ceil(sorted.length / size), stop);
			if (stop?.aborted || partition.epoch !== before.epoch) return undefined;
			await this.#piece(sorted.slice(at, at + size), before, found);
		}
		// What went meanwhile would be missed: the bounds are to be those after the pieces.
		const { epoch, first } = moved.length > 0 ? await partition.inspect() : before;
		if (epoch !== before.epoch) return undefined;
		const snapshot = { ...before, first };
		const settled = moved.filter(({ key }) => followed.get(key) === followers.get(key));
		const isOnItsWay = this.#settleAll(settled, found, snapshot, lasts);
		this.heard.verified(verifiedOfAll(followed.values(), before.last));
		if (isOnItsWay) await pause(clock, ON_ITS_WAY_MS);
		const ends = toEnds(subjects, { snapshot, lasts });
		return subjects.map(({ key }, index) => (lasts.has(key) ? ends[index] : undefined));
	}

	/** The same as they are now, by key: who follows them hears what is on its way. */
	async endsNow(subjects: readonly Subject[]): Promise<Map<string, Position>> {
		const ends = toEnds(subjects, await this.#turns.ask(subjects));
		return new Map(subjects.map(({ key }, index) => [key, ends[index] as Position]));
	}

	async #round(questions: readonly Subject[]): Promise<Answer> {
		const { partition, followed } = this.#deps;
		const { epoch } = partition;
		const [snapshot, early] = await Promise.all([partition.inspect(), this.#early(questions)]);
		const lasts = new Map<string, number>();
		const moved = new Map<string, Subject>();
		for (const question of questions) {
			const known = followed.get(question.key);
			const seq = early.get(question.key);
			// Of another log, perhaps, when the epoch is a new one; and what came after it may be in the snapshot already.
			if (seq !== undefined && known?.ready === false && snapshot.epoch === epoch) {
				known.ready = true;
				saw(known, seq);
			}
			if (known?.ready && (known.verified >= snapshot.last || known.last === seq)) {
				lasts.set(question.key, known.last);
			} else moved.set(question.key, question);
		}
		const found = await this.#lasts([...moved.values()], snapshot);
		const isOnItsWay = this.#settleAll([...moved.values()], found, snapshot, lasts);
		return { snapshot, lasts, isOnItsWay };
	}

	/** One who opens waits for one answer: the channel's last is asked for beside the partition's own. */
	async #early(questions: readonly Subject[]): Promise<Map<string, number>> {
		const opening = questions.filter(({ key }) => this.#deps.followed.get(key)?.ready === false);
		return opening.length > SINGLY ? new Map() : this.#singly(opening);
	}

	/** True when something new was found that no live copy was heard of. */
	#settleAll(
		moved: readonly Subject[],
		found: ReadonlyMap<string, number>,
		snapshot: Snapshot,
		lasts: Map<string, number>,
	): boolean {
		let isOnItsWay = false;
		for (const { key } of moved) {
			const known = this.#deps.followed.get(key);
			const before = known?.ready ? known.last : Number.POSITIVE_INFINITY;
			lasts.set(key, this.#settle(key, found.get(key), snapshot));
			if (known !== undefined && known.last > Math.max(before, known.heard)) isOnItsWay = true;
		}
		return isOnItsWay;
	}

	/** What the leader said becomes what is known; an end never moves back within an epoch. */
	#settle(key: string, seq: number | undefined, snapshot: Snapshot): number {
		const known = this.#deps.followed.get(key);
		if (known === undefined) return seq ?? snapshot.last;
		if (!known.ready) {
			known.ready = true;
			saw(known, seq ?? snapshot.last, seq ?? snapshot.first - 1);
		} else if (seq !== undefined) saw(known, seq);
		// Everything up to the last time is gone, so something between may be gone unseen: the end is a floor again.
		else if (snapshot.first > known.verified + 1) saw(known, snapshot.first - 1);
		known.verified = Math.max(known.verified, snapshot.last);
		return known.last;
	}

	async #lasts(questions: readonly Subject[], snapshot: Snapshot): Promise<Map<string, number>> {
		if (questions.length <= SINGLY) return this.#singly(questions);
		const sorted = this.#byVerified(questions);
		const found = new Map<string, number>();
		for (let at = 0; at < sorted.length; at += CHUNK) await this.#piece(sorted.slice(at, at + CHUNK), snapshot, found);
		return found;
	}

	/** Where nothing is verified it begins at the log's beginning. */
	#from({ key }: Subject): number {
		const known = this.#deps.followed.get(key);
		return known?.ready ? known.verified + 1 : 0;
	}

	#byVerified<T extends Subject>(subjects: readonly T[]): T[] {
		return [...subjects].sort((a, b) => this.#from(a) - this.#from(b));
	}

	/** Adds the newest of some that are sorted by what is verified. */
	async #piece(piece: readonly Subject[], snapshot: Snapshot, found: Map<string, number>): Promise<void> {
		// Of all, and as of now: what was heard of since they were sorted is verified further than its neighbours.
		const from = piece.reduce((least, subject) => Math.min(least, this.#from(subject)), Number.MAX_SAFE_INTEGER);
		const lasts = (await this.#chunk(piece, from, snapshot)) ?? (await this.#singly(piece));
		for (const [key, seq] of lasts) found.set(key, seq);
	}

	/** Undefined when no replica proved that it was far enough. */
	async #chunk(
		questions: readonly Subject[],
		from: number,
		snapshot: Snapshot,
	): Promise<Map<string, number> | undefined> {
		const { batchGet, partition, clock, epochSubject } = this.#deps;
		const keys = new Map(questions.map(({ log, key }) => [log, key]));
		// The epoch's own subject always has a message, so the answer always says how far it goes.
		const subjects = [...keys.keys(), epochSubject];
		for (let attempt = 0; attempt < STALE_TRIES; attempt += 1) {
			if (attempt > 0) await pause(clock, STALE.baseMs * STALE.factor ** (attempt - 1));
			const found = new Map<string, number>();
			let start = from;
			for (;;) {
				const { messages, pending, upTo } = await batchGet(partition.stream, {
					multi_last: subjects,
					max_bytes: CHUNK_BYTES,
					...(start > 0 && { seq: start }),
				});
				for (const { subject, seq } of messages) {
					const key = keys.get(subject);
					if (key !== undefined) found.set(key, seq);
					start = seq + 1;
				}
				if (upTo === undefined || upTo < snapshot.last) break;
				if (pending === 0 || messages.length === 0) return found;
			}
		}
		return undefined;
	}

	async #singly(questions: readonly Subject[]): Promise<Map<string, number>> {
		const { api, partition } = this.#deps;
		const found = new Map<string, number>();
		await inParallel(questions, async ({ key, log }) => {
			const message = await api.last(partition.stream, log);
			if (message !== undefined) found.set(key, message.seq);
		});
		return found;
	}
}

function toEnds(subjects: readonly Subject[], { snapshot, lasts }: Pick<Answer, "snapshot" | "lasts">): Position[] {
	return subjects.map(({ key }) => ({ epoch: snapshot.epoch, offset: lasts.get(key) ?? snapshot.last }));
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
	for (let at = 0; at < items.length; at += PARALLEL) await Promise.all(items.slice(at, at + PARALLEL).map(work));
}
