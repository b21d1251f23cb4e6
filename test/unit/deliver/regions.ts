/**
 * A session that moves from region to region, in a model: a log for each region, one of them the home. A client that
 * connects elsewhere takes it there, which seals the log that it leaves and ends the streams there.
 */
import { createChannel } from "../../../lambda/layer/src/core/channel.ts";
import { FanoutError } from "../../../lambda/layer/src/core/errors.ts";
import type { Position } from "../../../lambda/layer/src/core/position.ts";
import type { Page, Transport } from "../../../lambda/layer/src/core/transport.ts";
import { createEngine, type Engine } from "../../../lambda/layer/src/deliver/engine.ts";
import { FakeBroker } from "../../../lambda/layer/src/testing/fake-broker.ts";
import { createFakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";
import { createFakeTransport } from "../../../lambda/layer/src/testing/fake-transport.ts";
import type { Random } from "../../support/random.ts";

interface Seal {
	readonly move: number;
	readonly to: number;
	readonly at: Position;
	readonly start: Position;
}

export class Regions {
	readonly clock = createFakeClock();
	readonly channel = createChannel("session", "s");
	readonly brokers: FakeBroker[];
	readonly engines: Engine[];
	/** Probabilities: that a read of another region fails; that the old home does not answer when it is to be sealed. */
	pastFails = 0;
	sealFails = 0;
	home = 0;
	published = 0;
	#moves = 0;
	readonly #random: Random;
	readonly #seals = new Map<number, Seal>();

	constructor(random: Random, count: number) {
		this.#random = random;
		this.brokers = Array.from({ length: count }, () => new FakeBroker(random.next));
		this.engines = this.brokers.map((_broker, region) =>
			createEngine(this.#transport(region), {
				clock: this.clock,
				random: random.next,
				report: () => {},
				limits: {
					lane: { recent: { count: 8, bytes: 1 << 20 }, missingMs: 5_000, retry: { baseMs: 50, capMs: 1_000 } },
					pageEntries: 3,
				},
			}),
		);
	}

	/** The next envelope, in the home's log; `again` puts it into another's too, as one whose publisher offered it twice. */
	publish(again?: number): void {
		this.published += 1;
		const envelope = this.envelope(this.published);
		this.#brokerIn(this.home).append(envelope);
		if (again !== undefined) this.#brokerIn(again).append(envelope);
	}

	envelope(n: number) {
		const message = { jsonrpc: "2.0" as const, method: "notifications/message", params: { n } };
		const id = `00000000-0000-7000-8000-${String(n).padStart(12, "0")}`;
		const { channel, clock } = this;
		return { v: 1 as const, id, channel, message, publishedAt: clock.now(), origin: "test", lanes: ["aws"] };
	}

	move(to: number): void {
		if (to === this.home) return;
		const left = this.#brokerIn(this.home);
		// Each stay is apart from the one before, by the seal of whoever took it from here or else by a row of its own.
		const { end } = this.#brokerIn(to).bounds(this.channel);
		const seal = this.#seals.get(to);
		const isSealed = seal?.to === this.home && seal.at.offset === end.offset && seal.move === this.#moves;
		const start = isSealed ? end : this.#appendEmpty(to);
		this.#moves += 1;
		if (!left.chance(this.sealFails)) {
			const at = this.#appendEmpty(this.home);
			this.#seals.set(this.home, { move: this.#moves, to, at, start });
		}
		this.home = to;
		left.end(this.channel, "moved");
	}

	/** A row without an envelope, which no connection is posted. */
	#appendEmpty(region: number): Position {
		const broker = this.#brokerIn(region);
		const faults = { ...broker.faults };
		Object.assign(broker.faults, { lose: 1 });
		broker.append({ ...this.envelope(0), id: `row-${this.#random.next()}` });
		Object.assign(broker.faults, faults);
		const entries = broker.log(this.channel)?.entries ?? [];
		const { position, prev } = entries.pop() as (typeof entries)[number];
		entries.push({ position, ...(prev === undefined ? {} : { prev }) });
		return position;
	}

	close(): void {
		for (const engine of this.engines) engine.close();
	}

	#brokerIn(region: number): FakeBroker {
		return this.brokers[region] as FakeBroker;
	}

	#transport(region: number): Transport {
		const places = this.brokers.flatMap((_broker, other) => (other === region ? [] : [`aws/${other}`]));
		const own = createFakeTransport(this.#brokerIn(region), { name: "aws" });
		const pageOf = (other: number, from: Position, limit: number): Page => {
			const broker = this.#brokerIn(other);
			const seal = this.#seals.get(other);
			const { channel } = this;
			const { offset } = broker.bounds(channel).end;
			if (seal?.to !== region || seal.at.offset !== offset)
				return { channel, entries: [], more: false, verdict: "whole" };
			const page = broker.read(channel, from, limit);
			const entries = page.entries.filter(({ position }) => position.offset < offset);
			const had = (broker.log(channel)?.entries ?? []).filter(({ position }) => position.offset <= from.offset);
			const before = had.slice(-25).flatMap(({ envelope }) => envelope?.id ?? []);
			return {
				...page,
				entries,
				before,
				more: page.more && entries.length === page.entries.length,
				goesOn: seal.start,
			};
		};
		const fails = () => this.#random.next() < this.pastFails;
		return {
			...own,
			place: `aws/${region}`,
			past: {
				places: () => places,
				async *read(place, asks) {
					await undefined;
					if (fails()) throw new FanoutError("TransportUnavailable", "the region does not answer", { retryable: true });
					const other = Number(place.slice(4));
					for (const { from, limit } of asks) yield pageOf(other, from as Position, limit);
				},
			},
		};
	}
}
