/**
 * Ends that are vouched for by what was heard, against a log that knows: live messages are lost or late, answers are late
 * (each of the two in its order), epochs turn and tails are lost. An end that is vouched for is never older than the tip.
 */
import fc from "fast-check";
import { expect, it } from "vitest";
import { type Channel, createChannel } from "../../../../lambda/layer/src/core/channel.ts";
import { type Envelope, encodeEnvelope } from "../../../../lambda/layer/src/core/envelope.ts";
import { formatPosition, type Position } from "../../../../lambda/layer/src/core/position.ts";
import { createFollowers } from "../../../../lambda/layer/src/transports/redis/followers.ts";
import type { Tip } from "../../../../lambda/layer/src/transports/redis/store.ts";
import { announcedSeed } from "../../../support/random.ts";

const FOLLOWED = ["a", "b"].map((id) => createChannel("topic", id));
const ALL = [...FOLLOWED, createChannel("topic", "other")];
const ID = "00000000-0000-7000-8000-000000000000";

function textOf(channel: Channel): string {
	const message = { jsonrpc: "2.0", method: "notifications/message" } as const;
	const envelope: Envelope = { v: 1, id: ID, channel, message, publishedAt: 1, origin: "o", lanes: ["redis"] };
	return encodeEnvelope(envelope);
}

class World {
	readonly followers = createFollowers({
		monotonic: () => 0,
		renewMs: 1,
		saw: () => {},
		lookUp: async () => [],
		report: (error) => {
			throw error;
		},
	});
	vouched = 0;
	#turns = 1;
	#offset = 0;
	readonly #live: string[] = [];
	readonly #answers: (() => void)[] = [];
	/** All ends that a channel ever had, as texts, the newest last. */
	readonly #ends = ALL.map((): Position[] => [{ epoch: "00000001", offset: 0 }]);

	constructor() {
		for (const channel of FOLLOWED) {
			this.followers.add(0, channel, { entry() {}, suspect() {}, ended() {} });
		}
	}

	get #epoch(): string {
		return String(this.#turns).padStart(8, "0");
	}

	publish(index: number, count: number): void {
		const channel = ALL[index] as Channel;
		const ends = this.#ends[index] as Position[];
		const prev = ends.at(-1) as Position;
		const first = this.#offset + 1;
		this.#offset += count;
		ends.push({ epoch: this.#epoch, offset: this.#offset });
		const head = `${channel.key}\n${this.#epoch} ${first} ${this.#offset} ${prev.offset}`;
		this.#live.push([head, ...Array.from({ length: count }, () => textOf(channel))].join("\n"));
	}

	/** Another line goes on from an earlier offset; whoever was beyond it is told by its new end. */
	turn(lost: number): void {
		this.#turns += 1;
		this.#offset = Math.max(0, this.#offset - lost);
		for (const ends of this.#ends) {
			const last = ends.findLast(({ offset }) => offset <= this.#offset) as Position;
			ends.push({ epoch: this.#epoch, offset: last.offset });
		}
	}

	hear(how: "heard" | "lost"): void {
		const text = this.#live.shift();
		if (text !== undefined && how === "heard") this.followers.heard(0, text);
	}

	ask(what: "tip" | number): void {
		const tip: Tip = { epoch: this.#epoch, offset: this.#offset };
		const ends = this.#ends.map((all) => ({ at: all.length - 1, end: all.at(-1) as Position }));
		this.#answers.push(() => {
			for (const [index, channel] of FOLLOWED.entries()) {
				const { at, end } = ends[index] as { at: number; end: Position };
				if (what === index) this.followers.learn(0, channel, tip, end);
				if (what !== "tip") continue;
				const found = this.followers.vouched(0, channel, tip);
				if (found === undefined) continue;
				this.vouched += 1;
				const all = (this.#ends[index] as Position[]).map(formatPosition);
				expect(all.lastIndexOf(formatPosition(found)), `vouched ${all} at ${at}`).toBeGreaterThanOrEqual(at);
			}
		});
	}

	answer(): void {
		this.#answers.shift()?.();
	}
}

it("an end that is vouched for is never older than the tip [P3]", () => {
	const seed = announcedSeed("redis followers");
	const step = fc.oneof(
		{ weight: 6, arbitrary: fc.tuple(fc.constant("publish" as const), fc.nat(2), fc.integer({ min: 1, max: 3 })) },
		{ weight: 8, arbitrary: fc.tuple(fc.constant("heard" as const)) },
		{ weight: 1, arbitrary: fc.tuple(fc.constant("lost" as const)) },
		{ weight: 1, arbitrary: fc.tuple(fc.constant("turn" as const), fc.nat(4)) },
		{
			weight: 3,
			arbitrary: fc.tuple(fc.constant("ask" as const), fc.constantFrom<"tip" | number>("tip", "tip", 0, 1)),
		},
		{ weight: 4, arbitrary: fc.tuple(fc.constant("answer" as const)) },
	);
	let vouched = 0;
	fc.assert(
		fc.property(fc.array(step, { maxLength: 80, size: "max" }), (steps) => {
			const world = new World();
			for (const each of steps) {
				if (each[0] === "publish") world.publish(each[1], each[2]);
				else if (each[0] === "turn") world.turn(each[1]);
				else if (each[0] === "ask") world.ask(each[1]);
				else if (each[0] === "answer") world.answer();
				else world.hear(each[0]);
			}
			vouched += world.vouched;
		}),
		{ seed, numRuns: 2_000 },
	);
	expect(vouched, "the property is about something").toBeGreaterThan(500);
});
