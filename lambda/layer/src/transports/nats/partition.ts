/**
 * One partition of the log: its epoch and its bounds, as its leader says. The epoch is a message of the log itself,
 * under a subject of its own: it is gone exactly when the log lost its past (a memory stream whose node restarted, a
 * stream that was purged or made again), and whoever misses it first writes a new one, by compare-and-swap. It is
 * written again, unchanged, long before age or count could take it. A log whose end moved back has lost its past too.
 */
import { type Clock, pause } from "../../core/clock.ts";
import { FanoutError } from "../../core/errors.ts";
import { NO_EPOCH, type Position } from "../../core/position.ts";
import { Turns } from "../../core/turns.ts";
import type { Api, Stored, StreamInfo } from "./api.ts";

export interface Snapshot {
	readonly epoch: string;
	/** Sequence of the newest message, of whichever channel; of the oldest that is kept. */
	readonly last: number;
	readonly first: number;
	/** When the oldest that is kept was written, in milliseconds. */
	readonly firstMs: number;
}

/** What the stream keeps at the most, as its leader says: an operator may have changed it since the start. */
export interface Limits {
	readonly messages: number;
	readonly perChannel: number;
	readonly ageMs: number;
}

export interface PartitionDeps {
	readonly api: Api;
	readonly clock: Clock;
	readonly stream: string;
	readonly epochSubject: string;
	nextEpoch(): string;
	/** Makes the stream again when it is gone. */
	ensure(): Promise<void>;
	/** The epoch is another one than it was. */
	changed(): void;
}

const EPOCH = /^[0-9a-f]{8}$/;
const NANOS = 1_000_000;
const TRIES = 5;
/** A new leader may answer before it applied what the old one had: a shorter log is believed after this long. */
const DOUBT_MS = 1_500;
const DOUBT_STEP_MS = 100;

/** What is 0, or less, is unbounded. */
function limitsOf(config: Readonly<Record<string, unknown>>): Limits {
	const limit = (value: unknown) => (typeof value === "number" && value > 0 ? value : Number.POSITIVE_INFINITY);
	const { max_msgs, max_msgs_per_subject, max_age } = config;
	return { messages: limit(max_msgs), perChannel: limit(max_msgs_per_subject), ageMs: limit(max_age) / NANOS };
}

function decoded(stored: Stored): string {
	return Buffer.from(stored.data ?? "", "base64").toString("latin1");
}

export class Partition {
	readonly stream: string;
	readonly #deps: PartitionDeps;
	readonly #turns: Turns<never, Snapshot>;
	#epoch = NO_EPOCH;
	#highest = 0;
	#askedAt = Number.NEGATIVE_INFINITY;
	#markerSeq = 0;
	#limits = limitsOf({});

	constructor(deps: PartitionDeps) {
		this.#deps = deps;
		this.stream = deps.stream;
		this.#turns = new Turns(() => this.#inspect());
	}

	get epoch(): string {
		return this.#epoch;
	}

	/** The highest sequence that was seen in this epoch. */
	get highest(): number {
		return this.#highest;
	}

	/** Monotonic time of the last answer. */
	get askedAt(): number {
		return this.#askedAt;
	}

	/** As of the last answer. */
	get limits(): Limits {
		return this.#limits;
	}

	/** So much came after the epoch's own message that it should be asked for, and so renewed, before it goes. */
	worn(seq: number): boolean {
		return seq - this.#markerSeq > this.#limits.messages / 2;
	}

	position(seq: number): Position {
		return { epoch: this.#epoch, offset: seq };
	}

	/** A message with this sequence is in the log. */
	saw(seq: number): void {
		if (seq > this.#highest) this.#highest = seq;
	}

	/** The connection was lost: that the epoch is another one by now was told to nobody. */
	doubt(): void {
		this.#askedAt = Number.NEGATIVE_INFINITY;
	}

	/** Nothing was asked on this connection yet. */
	get isDoubted(): boolean {
		return this.#askedAt === Number.NEGATIVE_INFINITY;
	}

	/** Asks the leader; the answer is of after the call. */
	inspect(): Promise<Snapshot> {
		return this.#turns.ask();
	}

	async #inspect(): Promise<Snapshot> {
		const { clock } = this.#deps;
		const doubtedUntil = clock.monotonic() + DOUBT_MS;
		for (let attempt = 0; attempt < TRIES; ) {
			const seen = this.#highest;
			const epoch = this.#epoch;
			const [info, marker] = await this.#ask();
			if (info === undefined) {
				attempt += 1;
				await this.#deps.ensure();
				continue;
			}
			const nonce = marker === undefined ? undefined : decoded(marker);
			if (marker === undefined || nonce === undefined || !EPOCH.test(nonce)) {
				attempt += 1;
				await this.#deps.api.swap(this.#deps.epochSubject, this.#deps.nextEpoch(), marker?.seq ?? 0);
				continue;
			}
			if (nonce === epoch && info.state.last_seq < seen) {
				if (clock.monotonic() < doubtedUntil) await pause(clock, DOUBT_STEP_MS);
				else {
					attempt += 1;
					await this.#deps.api.swap(this.#deps.epochSubject, this.#deps.nextEpoch(), marker.seq);
				}
				continue;
			}
			return this.#settle(info, marker, nonce);
		}
		throw new FanoutError("TransportUnavailable", `${this.stream} did not come to rest`, { retryable: true });
	}

	#ask(): Promise<[StreamInfo | undefined, Stored | undefined]> {
		const { api, epochSubject } = this.#deps;
		// Where there is no stream, the first answer says so and the second is a refusal.
		const marker = api.last(this.stream, epochSubject).catch((error: unknown) => error);
		return api.info(this.stream).then(async (info) => {
			const found = await marker;
			if (info === undefined) return [undefined, undefined];
			if (found instanceof Error) throw found;
			return [info, found as Stored | undefined];
		});
	}

	#settle({ config, state, ts }: StreamInfo, marker: Stored, epoch: string): Snapshot {
		this.#limits = limitsOf(config);
		const ageMs = Date.parse(ts) - Date.parse(marker.time);
		this.#markerSeq = marker.seq;
		if (ageMs > this.#limits.ageMs / 4 || this.worn(state.last_seq)) this.#renew(epoch, marker.seq);
		this.#askedAt = this.#deps.clock.monotonic();
		if (epoch === this.#epoch) this.saw(state.last_seq);
		else {
			const before = this.#epoch;
			this.#epoch = epoch;
			this.#highest = state.last_seq;
			if (before !== NO_EPOCH) this.#deps.changed();
		}
		return { epoch, last: state.last_seq, first: state.first_seq, firstMs: Date.parse(state.first_ts) };
	}

	/** The same epoch again, at the log's end. Whoever else did it meanwhile did it for all, and a failure is tried again by the next question. */
	#renew(epoch: string, seq: number): void {
		const renewed = this.#deps.api.swap(this.#deps.epochSubject, epoch, seq);
		renewed.then(
			(marker) => {
				if (marker !== undefined) this.#markerSeq = marker;
			},
			() => {},
		);
	}
}
