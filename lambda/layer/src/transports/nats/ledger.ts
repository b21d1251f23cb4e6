/**
 * The ends of one partition's channels, by its leader. One question for the partition's own end answers for every
 * channel that was verified up to there; only where it moved the followed channels' last messages are asked for, and
 * only those after what is verified, a thousand in a request. A replica that is behind is found by how far it says
 * that it is; then the leader is asked, one channel at a time.
 */
import { type Clock, pause } from "../../core/clock.ts";
import { asFanoutError, type FanoutError } from "../../core/errors.ts";
import type { Bounds } from "../../core/transport.ts";
import type { Api } from "./api.ts";
import type { BatchGet } from "./batch-get.ts";
import { type Known, saw } from "./known.ts";
import type { Partition, Snapshot } from "./partition.ts";
import { Turns } from "./turns.ts";

/** Of `multi_last`: the server's bound is 1,024, and one is the partition's own. */
const CHUNK = 1_000;
/** Up to so many channels the leader is asked for each. */
const SINGLY = 2;
/** A question about more is a regular check. */
const FEW = 8;
/** Between the rounds of many who ask by themselves, as when another instance's streams come here. */
const REST_MS = 20;
/** Up to so many channels in a round `oldest` is exact; beyond, it is a bound from below. */
const OLDEST = 16;
const STALE_TRIES = 5;
const STALE = { baseMs: 5, factor: 3 } as const;
const ON_ITS_WAY_MS = 25;
/** Questions to the leader at once. */
const PARALLEL = 64;

export interface Subject {
	readonly key: string;
	readonly log: string;
}

interface Question extends Subject {
	readonly oldest: boolean;
	/** One of many in a regular check: what was heard of since the last one may wait for the next. */
	readonly isPatient: boolean;
}

interface Answer {
	readonly snapshot: Snapshot;
	readonly lasts: ReadonlyMap<string, number>;
	readonly oldest: ReadonlyMap<string, number>;
	/** Something new was found that no live copy was heard of. */
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
	readonly #deps: LedgerDeps;
	readonly #turns: Turns<Question, Answer>;

	constructor(deps: LedgerDeps) {
		this.#deps = deps;
		this.#turns = new Turns((questions) => this.#round(questions), { ...deps, ms: REST_MS });
	}

	/**
	 * A question about many channels is a regular check: channels with live copies since the last one are left to the
	 * next, for a loss between the copies shows by itself; so a check costs by what is lost, not by what is heard.
	 * What was stored a moment ago may still be on its way as a live copy: an end is told when it had the time to come,
	 * else every check of a busy instance would find "lost" entries and read them once more.
	 */
	async bounds(subjects: readonly Subject[]): Promise<Bounds[]> {
		const { snapshot, lasts, oldest, isOnItsWay } = await this.#ask(subjects, true, subjects.length > FEW);
		if (isOnItsWay) await pause(this.#deps.clock, ON_ITS_WAY_MS);
		const at = (seq: number) => ({ epoch: snapshot.epoch, offset: BigInt(seq) });
		return subjects.map(({ key }) => {
			const last = lasts.get(key) ?? snapshot.last;
			return { oldest: at(oldest.get(key) ?? Math.min(last, snapshot.first)), end: at(last) };
		});
	}

	/** The same without `oldest`, for channels that are followed. */
	async ends(subjects: readonly Subject[]): Promise<Map<string, { readonly epoch: string; readonly offset: bigint }>> {
		const { snapshot, lasts } = await this.#ask(subjects, false, false);
		const ends = subjects.map(({ key }) => {
			const offset = BigInt(lasts.get(key) ?? snapshot.last);
			return [key, { epoch: snapshot.epoch, offset }] as const;
		});
		return new Map(ends);
	}

	#ask(subjects: readonly Subject[], oldest: boolean, isPatient: boolean): Promise<Answer> {
		return this.#turns.ask(subjects.map(({ key, log }) => ({ key, log, oldest, isPatient })));
	}

	async #round(questions: readonly Question[]): Promise<Answer> {
		const { partition, followed } = this.#deps;
		const { epoch } = partition;
		const [snapshot, early] = await Promise.all([partition.inspect(), this.#early(questions)]);
		const lasts = new Map<string, number>();
		const moved = new Map<string, Question>();
		for (const question of questions) {
			const known = followed.get(question.key);
			const seq = early.get(question.key);
			// Of another log, perhaps, when the epoch is a new one; and what came after it may be in the snapshot already.
			if (seq !== undefined && known?.ready === false && snapshot.epoch === epoch) {
				known.ready = true;
				saw(known, seq);
			}
			if (known?.ready && (known.verified >= snapshot.last || known.last === seq || isFresh(known, question))) {
				lasts.set(question.key, known.last);
			} else moved.set(question.key, question);
		}
		const found = await this.#lasts([...moved.values()], snapshot);
		let isOnItsWay = false;
		for (const key of moved.keys()) {
			const known = followed.get(key);
			const before = known?.ready ? known.last : Number.POSITIVE_INFINITY;
			lasts.set(key, this.#settle(key, found.get(key), snapshot));
			if (known !== undefined && known.last > Math.max(before, known.heard)) isOnItsWay = true;
		}
		const wanted = new Map(questions.filter(({ oldest }) => oldest).map((question) => [question.key, question]));
		const oldest = wanted.size > OLDEST ? new Map() : await this.#oldest([...wanted.values()], lasts, snapshot);
		return { snapshot, lasts, oldest, isOnItsWay };
	}

	/** One who opens waits for one answer: the channel's last is asked for beside the partition's own. */
	async #early(questions: readonly Question[]): Promise<Map<string, number>> {
		const opening = questions.filter(({ key }) => this.#deps.followed.get(key)?.ready === false);
		return opening.length > SINGLY ? new Map() : this.#singly(opening);
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

	async #lasts(questions: readonly Question[], snapshot: Snapshot): Promise<Map<string, number>> {
		if (questions.length <= SINGLY) return this.#singly(questions);
		const { followed } = this.#deps;
		const from = ({ key }: Question) => {
			const known = followed.get(key);
			return known?.ready ? known.verified + 1 : 0;
		};
		const sorted = [...questions].sort((a, b) => from(a) - from(b));
		const found = new Map<string, number>();
		for (let at = 0; at < sorted.length; at += CHUNK) {
			const chunk = sorted.slice(at, at + CHUNK);
			const lasts = (await this.#chunk(chunk, from(chunk[0] as Question), snapshot)) ?? (await this.#singly(chunk));
			for (const [key, seq] of lasts) found.set(key, seq);
		}
		return found;
	}

	/** Undefined when no replica proved that it was far enough. */
	async #chunk(
		questions: readonly Question[],
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

	async #singly(questions: readonly Question[]): Promise<Map<string, number>> {
		const { api, partition } = this.#deps;
		const found = new Map<string, number>();
		await inParallel(questions, async ({ key, log }) => {
			const message = await api.last(partition.stream, log);
			if (message !== undefined) found.set(key, message.seq);
		});
		return found;
	}

	async #oldest(
		questions: readonly Question[],
		lasts: ReadonlyMap<string, number>,
		snapshot: Snapshot,
	): Promise<Map<string, number>> {
		const { api, partition, followed } = this.#deps;
		const found = new Map<string, number>();
		await inParallel(questions, async ({ key, log }) => {
			const last = lasts.get(key) ?? snapshot.last;
			const known = followed.get(key);
			const before = known?.oldest;
			if (before?.last === last && before.seq >= snapshot.first) {
				found.set(key, before.seq);
				return;
			}
			const message = last < snapshot.first ? undefined : await api.next(partition.stream, log, snapshot.first);
			const seq = Math.min(message?.seq ?? last, last);
			found.set(key, seq);
			if (known !== undefined) known.oldest = { seq, last };
		});
		return found;
	}
}

/** Heard of since the last check, which this one then is. */
function isFresh(known: Known, { isPatient }: Question): boolean {
	if (!isPatient || known.heard === known.heardAtCheck) return false;
	known.heardAtCheck = known.heard;
	return known.heard === known.last;
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
	for (let at = 0; at < items.length; at += PARALLEL) await Promise.all(items.slice(at, at + PARALLEL).map(work));
}

export function unavailable(error: unknown, what: string): FanoutError {
	return asFanoutError(error, "TransportUnavailable", what, true);
}
