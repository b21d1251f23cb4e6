/** A client stream of the engine, as the suite's cases open one: it writes down what it is told. */
import assert from "node:assert/strict";
import type { Channel } from "../../core/channel.ts";
import type { Feed, Sink } from "../../core/client-feed.ts";
import { systemClock } from "../../core/clock.ts";
import type { Envelope } from "../../core/envelope.ts";
import type { Transport } from "../../core/transport.ts";
import { createEngine, type Engine } from "../../deliver/engine.ts";
import { openFeed } from "../../deliver/feed.ts";
import { type Bench, eventually, numberOf } from "./bench.ts";

export interface Told {
	readonly n?: unknown;
	readonly envelope?: Envelope;
	readonly mark?: string;
	readonly end?: string;
	readonly cursor: string | undefined;
}

export interface Stream {
	readonly told: readonly Told[];
	readonly feed: Feed;
	/** The stream's cursor as its client last heard it. */
	readonly cursor: string;
	numbers(): unknown[];
	marks(): string[];
	/** Waits until this many envelopes were shown. */
	shown(count: number): Promise<unknown[]>;
	marked(): Promise<string[]>;
	close(): void;
}

export function startEngine(bench: Bench, transport: Transport = bench.transport): Engine {
	const engine = createEngine(transport, { clock: systemClock, random: Math.random, report() {} });
	bench.atEnd(() => engine.close());
	return engine;
}

export async function openStream(
	bench: Bench,
	engine: Engine,
	channels: readonly Channel[],
	request: { readonly cursor?: string; readonly sinceMs?: number } = {},
): Promise<Stream> {
	const told: Told[] = [];
	const sink: Sink = {
		deliver: (envelope, cursor) => void told.push({ n: numberOf(envelope), envelope, cursor }),
		mark: (mark, cursor) => void told.push({ mark, cursor }),
		cursor: (cursor) => void told.push({ cursor }),
		end: (end) => void told.push({ end, cursor: undefined }),
	};
	const openTimeoutMs = bench.harness.limits.waitMs;
	const deps = { engines: [engine], clock: systemClock, report() {}, openTimeoutMs };
	const feed = openFeed(deps, { channels, ...request }, sink);
	bench.atEnd(() => feed.close());
	await feed.opened;
	assert.ok(told[0]?.cursor !== undefined && told[0].n === undefined, "a stream opens with its cursor");
	const numbers = () => told.filter(({ envelope }) => envelope !== undefined).map(({ n }) => n);
	const marks = () => told.map(({ mark, end }) => mark ?? end).filter((reason) => reason !== undefined);
	return {
		told,
		feed,
		get cursor() {
			return told.findLast(({ cursor }) => cursor !== undefined)?.cursor as string;
		},
		numbers,
		marks,
		shown: (count) =>
			eventually(bench.harness, `${count} events on the stream`, async () =>
				numbers().length >= count ? numbers() : undefined,
			),
		marked: () =>
			eventually(bench.harness, "the stream is told", async () => (marks().length > 0 ? marks() : undefined)),
		close: () => feed.close(),
	};
}
