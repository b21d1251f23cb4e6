/**
 * One case's workbench: started transports that are always closed, envelopes, and waiting. Waiting polls what is
 * authoritative (`read`) under the harness's deadline and says what it waited for; nothing asserts how long it took.
 */
import assert from "node:assert/strict";
import { type Channel, type ChannelKind, createChannel } from "../../core/channel.ts";
import { pause, systemClock } from "../../core/clock.ts";
import { type Envelope, envelopeBytes } from "../../core/envelope.ts";
import { createIds } from "../../core/ids.ts";
import type { Message } from "../../core/message.ts";
import type { Position } from "../../core/position.ts";
import { BEGINNING } from "../../core/position.ts";
import type { Ask, Entry, Outcome, Page, Subscriber, Transport } from "../../core/transport.ts";
import type { Harness } from "./harness.ts";

const ids = createIds(systemClock);
const DEFAULT_START_MS = 10_000;
const DEFAULT_POLL_MS = 10;
const MAX_POLL_MS = 250;

export const never: AbortSignal = new AbortController().signal;

export interface Bench {
	readonly harness: Harness;
	readonly transport: Transport;
	/** Another instance on the same backend. */
	another(): Promise<Transport>;
	channel(id: string, kind?: ChannelKind, tenant?: string): Channel;
	/** Runs before the transports are closed, whatever happened. */
	atEnd(task: () => void): void;
}

export async function onBench(harness: Harness, work: (bench: Bench) => Promise<void>): Promise<void> {
	const open: Transport[] = [];
	const tasks: (() => void)[] = [];
	const start = async () => {
		const transport = await harness.createTransport();
		open.push(transport);
		const deadline = AbortSignal.timeout(harness.limits.startMs ?? DEFAULT_START_MS);
		await transport.start({ report() {} }, deadline);
		return transport;
	};
	try {
		const transport = await start();
		const own = harness.namespace();
		const scope = (tenant: string) => {
			const { onlyNamespace: namespace } = harness;
			return namespace === undefined ? { namespace: own, tenant } : { namespace, tenant: `${own}-${tenant}` };
		};
		await work({
			harness,
			transport,
			another: start,
			channel: (id, kind = harness.kind ?? "topic", tenant = "tenant") =>
				createChannel(kind, kind === "all" ? "" : id, scope(tenant)),
			atEnd: (task) => void tasks.push(task),
		});
	} finally {
		for (const task of tasks) task();
		for (const transport of open) await transport.close();
	}
}

export function envelopeOf(
	transport: Transport,
	channel: Channel,
	n: number,
	extra: Record<string, unknown> = {},
): Envelope {
	const message: Message = { jsonrpc: "2.0", method: "notifications/contract", params: { n, ...extra } };
	return {
		v: 1,
		id: ids.next(),
		channel,
		message,
		publishedAt: Date.now(),
		origin: "contract",
		lanes: [transport.name],
	};
}

/** An envelope of exactly this many encoded bytes. */
export function sized(transport: Transport, channel: Channel, n: number, bytes: number) {
	const bare = envelopeOf(transport, channel, n, { padding: "" });
	const params = { n, padding: "x".repeat(bytes - envelopeBytes(bare)) };
	return { ...bare, message: { ...bare.message, params } };
}

export function numberOf(envelope: Envelope | undefined): unknown {
	return (envelope?.message as { params?: { n?: unknown } } | undefined)?.params?.n;
}

export function numbersOf(entries: readonly Entry[]): unknown[] {
	return entries.map(({ envelope }) => numberOf(envelope));
}

/** 1, 2, … count. */
export function upTo(count: number, from = 1): number[] {
	return Array.from({ length: count }, (_, index) => from + index);
}

export function offer(transport: Transport, channel: Channel, batch: readonly Envelope[]): Promise<Outcome[]> {
	return transport.publish(channel, batch, { mayExist: false }, never);
}

/** Publishes each number, in batches that the transport takes, and insists on acceptance. */
export async function send(transport: Transport, channel: Channel, ...numbers: number[]): Promise<Envelope[]> {
	const envelopes = numbers.map((n) => envelopeOf(transport, channel, n));
	const size = Math.min(10, transport.capabilities.batch.count);
	for (let at = 0; at < envelopes.length; at += size) {
		await insist(transport, channel, envelopes.slice(at, at + size));
	}
	return envelopes;
}

/** Offers a batch; what refused one of it is what fails. */
export async function insist(transport: Transport, channel: Channel, batch: readonly Envelope[]): Promise<void> {
	for (const outcome of await offer(transport, channel, batch)) if (!outcome.ok) throw outcome.error;
}

export async function eventually<T>(harness: Harness, what: string, look: () => Promise<T | undefined>): Promise<T> {
	const until = performance.now() + harness.limits.waitMs;
	for (let pollMs = harness.limits.pollMs ?? DEFAULT_POLL_MS; ; pollMs = Math.min(pollMs * 2, MAX_POLL_MS)) {
		const found = await look();
		if (found !== undefined) return found;
		assert.ok(performance.now() < until, `${what}: not within ${harness.limits.waitMs} ms`);
		await pause(systemClock, pollMs);
	}
}

export async function readPage(transport: Transport, ask: Ask): Promise<Page> {
	const pages: Page[] = [];
	for await (const page of transport.read([ask], never)) pages.push(page);
	assert.equal(pages.length, 1, "one page for one ask");
	return pages[0] as Page;
}

/** Everything after a position, page by page; the verdict is the first page's. */
export async function readAll(
	transport: Transport,
	channel: Channel,
	from: Ask["from"] = BEGINNING,
	limit = 100,
): Promise<{ readonly entries: Entry[]; readonly verdict: Page["verdict"] }> {
	const first = await readPage(transport, { channel, from, limit });
	const entries = [...first.entries];
	for (let page = first; page.more; ) {
		const last = page.entries.at(-1);
		assert.ok(last, "a page that says there is more holds something");
		page = await readPage(transport, { channel, from: last.position, limit });
		assert.equal(page.verdict, "whole", "what follows a page is whole");
		const next = page.entries[0]?.position.offset;
		assert.ok(next === undefined || next > last.position.offset, "a page starts after the position that was asked for");
		entries.push(...page.entries);
	}
	return { entries, verdict: first.verdict };
}

/** Waits until the log holds `count` entries after a position, and gives all that there are. */
export async function settled(bench: Bench, channel: Channel, count: number, from: Ask["from"] = BEGINNING) {
	return eventually(bench.harness, `${count} entries in the log`, async () => {
		const { entries } = await readAll(bench.transport, channel, from);
		return entries.length >= count ? entries : undefined;
	});
}

export async function endOf(transport: Transport, channel: Channel): Promise<Position> {
	const [end] = await transport.ends([channel], never);
	assert.ok(end, "ends answers for every channel");
	return end;
}

export interface Collector extends Subscriber {
	readonly entries: Entry[];
}

export function collect(): Collector {
	const entries: Entry[] = [];
	return { entries, entry: (entry) => void entries.push(entry), suspect() {}, ended() {} };
}

/** Makes a log lose its oldest events while its newest is kept; how depends on what bounds it. */
export async function loseOldest(bench: Bench, channel: Channel, next: number): Promise<void> {
	if (bench.harness.forget !== undefined) return bench.harness.forget(channel);
	const keeps = bench.harness.limits.eventsPerChannel;
	assert.ok(keeps, "the case asked for this ability");
	await send(bench.transport, channel, ...upTo(keeps, next));
}

export function cannotForget(harness: Harness): string | undefined {
	if (harness.forget !== undefined || harness.limits.eventsPerChannel !== undefined) return undefined;
	return "the harness cannot make a log forget";
}

export function cannotReset(harness: Harness): string | undefined {
	return harness.reset === undefined ? "the harness cannot make a log lose its past" : undefined;
}
