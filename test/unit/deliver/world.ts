/** A broker, engines of some instances, and client streams that record all they are shown, over kills and resumes. */
import type { Channel } from "../../../lambda/layer/src/core/channel.ts";
import { createChannel } from "../../../lambda/layer/src/core/channel.ts";
import type { Feed, Sink } from "../../../lambda/layer/src/core/client-feed.ts";
import type { Envelope } from "../../../lambda/layer/src/core/envelope.ts";
import { deriveId } from "../../../lambda/layer/src/core/ids.ts";
import type { EarlyCopies } from "../../../lambda/layer/src/deliver/early-copies.ts";
import { createEngine, type Engine } from "../../../lambda/layer/src/deliver/engine.ts";
import { openFeed } from "../../../lambda/layer/src/deliver/feed.ts";
import { FakeBroker, NO_FAULTS } from "../../../lambda/layer/src/testing/fake-broker.ts";
import { createFakeClock, type FakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";
import { createFakeTransport } from "../../../lambda/layer/src/testing/fake-transport.ts";
import type { Random } from "../../support/random.ts";

export type Seen =
	| { readonly channel: string; readonly n: number; readonly early: boolean }
	| { readonly mark: string };

/** One client over any number of connections: it keeps its cursor as a real client would. */
export class Client {
	readonly seen: Seen[] = [];
	readonly ends: string[] = [];
	cursor: string | undefined;
	/** When given: what a replay waits for; undefined while there is room. */
	room: (() => Promise<void> | undefined) | undefined;
	/** Takes the stream's cursor as it is at any moment, as with a heartbeat; nothing before the first. */
	beat: () => void = () => {};
	#feed: Feed | undefined;

	connect(
		engines: readonly Engine[],
		clock: FakeClock,
		channels: readonly Channel[],
		sinceMs?: number,
		earlyCopies?: EarlyCopies,
	): void {
		let live = true;
		this.beat = () => {};
		const record = (fact: Seen, cursor: string | undefined) => {
			if (!live) throw new Error("a closed stream was called");
			this.seen.push(fact);
			if (cursor !== undefined) this.cursor = cursor;
		};
		const sink: Sink = {
			deliver: (envelope, cursor) => {
				const { n } = (envelope.message as unknown as { params: { n: number } }).params;
				record({ channel: envelope.channel.key, n, early: cursor === undefined }, cursor);
			},
			mark: (reason, cursor) => record({ mark: reason }, cursor),
			cursor: (cursor) => {
				this.cursor = cursor;
				this.beat = () => {
					if (live) this.cursor = feed.cursor;
				};
			},
			end: (reason) => {
				live = false;
				this.ends.push(reason);
			},
			room: () => this.room?.(),
		};
		const deps = { engines, clock, report: () => {}, earlyCopies };
		const feed = openFeed(deps, { channels, cursor: this.cursor, sinceMs }, sink);
		feed.opened.catch(() => {});
		this.#feed = {
			...feed,
			opened: feed.opened,
			cursor: "",
			add: (channel) => feed.add(channel),
			remove: (channel) => feed.remove(channel),
			early: (envelope) => feed.early(envelope),
			close: () => {
				live = false;
				feed.close();
			},
		};
	}

	get feed(): Feed {
		if (this.#feed === undefined) throw new Error("not connected");
		return this.#feed;
	}

	kill(): void {
		this.#feed?.close();
		this.#feed = undefined;
	}

	get connected(): boolean {
		return this.#feed !== undefined;
	}

	numbers(channel: Channel): number[] {
		return this.seen.flatMap((fact) => ("n" in fact && fact.channel === channel.key ? [fact.n] : []));
	}

	get marks(): string[] {
		return this.seen.flatMap((fact) => ("mark" in fact ? [fact.mark] : []));
	}
}

export class World {
	readonly clock = createFakeClock();
	readonly brokers: FakeBroker[];
	readonly engines: Engine[][] = [];
	readonly #published = new Map<string, number>();

	constructor(
		random: Random,
		shape: { readonly instances: number; readonly transports: readonly string[]; readonly eager?: boolean },
	) {
		this.brokers = shape.transports.map(() => new FakeBroker(random.next, { eager: shape.eager ?? false }));
		for (let instance = 0; instance < shape.instances; instance += 1) {
			this.engines.push(
				this.brokers.map((broker, index) =>
					createEngine(createFakeTransport(broker, { name: shape.transports[index] as string }), {
						clock: this.clock,
						random: random.next,
						report: () => {},
						limits: {
							lane: { recent: { count: 8, bytes: 1 << 20 }, missingMs: 5_000, retry: { baseMs: 50, capMs: 1_000 } },
							pageEntries: 5,
						},
					}),
				),
			);
		}
	}

	channel(name: string): Channel {
		return createChannel("topic", name);
	}

	idOf(channel: Channel, n: number): string {
		return deriveId(channel.key, String(n));
	}

	envelope(channel: Channel, lanes: readonly string[]): Envelope {
		const n = (this.#published.get(channel.key) ?? 0) + 1;
		this.#published.set(channel.key, n);
		const message = { jsonrpc: "2.0" as const, method: "notifications/message", params: { n } };
		const id = this.idOf(channel, n);
		return { v: 1, id, channel, message, publishedAt: this.clock.now(), origin: "test", lanes };
	}

	published(channel: Channel): number {
		return this.#published.get(channel.key) ?? 0;
	}

	/** Faults end, what was delayed arrives, and there is time for every check. */
	async calm(): Promise<void> {
		for (const broker of this.brokers) Object.assign(broker.faults, NO_FAULTS);
		for (let turn = 0; turn < 8; turn += 1) {
			for (const broker of this.brokers) broker.deliverDelayed();
			await this.clock.advance(2_000);
		}
	}

	close(): void {
		for (const engine of this.engines.flat()) engine.close();
	}
}
