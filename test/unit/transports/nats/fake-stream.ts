/** One stream as its leader and a replica that may be behind, in memory: for what real servers show too seldom. */
import type { Clock } from "../../../../lambda/layer/src/core/clock.ts";
import type { Api } from "../../../../lambda/layer/src/transports/nats/api.ts";
import type { BatchGet, Fetched } from "../../../../lambda/layer/src/transports/nats/batch-get.ts";
import { Partition } from "../../../../lambda/layer/src/transports/nats/partition.ts";

export const EPOCH_SUBJECT = "p.=.0.epoch.nonce";

interface Kept {
	readonly seq: number;
	readonly subject: string;
	readonly text: string;
	readonly atMs: number;
}

export class FakeStream {
	kept: Kept[] = [];
	last = 0;
	/** Messages that the replica does not have yet. */
	behind = 0;
	exists = true;
	/** 0: unbounded. */
	limits = { messages: 1_000, perChannel: 0, ageMs: 86_400_000 };
	readonly asked: string[] = [];
	readonly clock: Clock;

	constructor(clock: Clock) {
		this.clock = clock;
	}

	add(subject: string, text = ""): number {
		this.last += 1;
		this.kept.push({ seq: this.last, subject, text, atMs: this.clock.now() });
		return this.last;
	}

	/** Retention: drops the oldest. */
	drop(count: number): void {
		this.kept.splice(0, count);
	}

	/** All of it, as a memory stream whose node is back: sequences begin anew. */
	lose(): void {
		this.kept = [];
		this.last = 0;
	}

	get first(): number {
		return this.kept[0]?.seq ?? this.last + 1;
	}

	readonly api: { -readonly [name in keyof Api]: Api[name] } = {
		prefix: "$JS.API",
		info: async () => {
			this.asked.push("info");
			if (!this.exists) return undefined;
			const iso = (ms: number) => new Date(ms).toISOString();
			const state = { messages: this.kept.length, first_seq: this.first, last_seq: this.last };
			const first = iso(this.kept[0]?.atMs ?? this.clock.now());
			const { messages, perChannel, ageMs } = this.limits;
			const kept = { max_msgs: messages, max_msgs_per_subject: perChannel, max_age: ageMs * 1_000_000 };
			return { config: { name: "p-0", ...kept }, state: { ...state, first_ts: first }, ts: iso(this.clock.now()) };
		},
		create: async () => {
			this.exists = true;
		},
		last: async (_stream, subject) => {
			this.asked.push(`last ${subject}`);
			const found = this.kept.findLast((message) => message.subject === subject);
			return found && this.#stored(found);
		},
		swap: async (subject, text, lastSeq) => {
			const found = this.kept.findLast((message) => message.subject === subject);
			return (found?.seq ?? 0) === lastSeq ? this.add(subject, text) : undefined;
		},
	};

	readonly batchGet: BatchGet = async (_stream, request) => {
		const {
			multi_last,
			next_by_subj,
			seq = 0,
			batch = 1_100,
		} = request as {
			multi_last?: string[];
			next_by_subj?: string;
			seq?: number;
			batch?: number;
		};
		this.asked.push(multi_last === undefined ? `batch ${next_by_subj}` : `multi ${multi_last.length} from ${seq}`);
		const upTo = this.last - this.behind;
		const here = this.kept.filter((message) => message.seq <= upTo);
		const matching =
			multi_last === undefined
				? here.filter(({ subject }) => matches(next_by_subj ?? "", subject))
				: here.filter((message) => message === here.findLast(({ subject }) => subject === message.subject));
		const wanted = matching.filter((message) => message.seq >= seq && (multi_last?.includes(message.subject) ?? true));
		const messages = wanted
			.slice(0, batch)
			.map(({ seq: at, subject, text }): Fetched => ({ seq: at, subject, data: Buffer.from(text) }));
		return { messages, pending: wanted.length - messages.length, upTo: multi_last === undefined ? undefined : upTo };
	};

	partition(changed: () => void = () => {}): Partition {
		let nonce = 0;
		return new Partition({
			...{ api: this.api, clock: this.clock, stream: "p-0", epochSubject: EPOCH_SUBJECT },
			nextEpoch: () => (0xe0000000 + nonce++).toString(16),
			ensure: async () => {
				this.exists = true;
			},
			changed,
		});
	}

	#stored({ seq, subject, text, atMs }: Kept) {
		return { seq, subject, data: Buffer.from(text).toString("base64"), time: new Date(atMs).toISOString() };
	}
}

/** As NATS has it: `*` is one token, `>` all that follow. */
function matches(pattern: string, subject: string): boolean {
	const tokens = subject.split(".");
	const wanted = pattern.split(".");
	if (wanted.at(-1) === ">" ? tokens.length < wanted.length : tokens.length !== wanted.length) return false;
	return wanted.every((token, index) => token === ">" || token === "*" || token === tokens[index]);
}
