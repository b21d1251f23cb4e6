/** What the tests of the local transport share: a transport on a clock of ours, and envelopes. */
import { type Channel, createChannel } from "../../../../lambda/layer/src/core/channel.ts";
import type { Clock } from "../../../../lambda/layer/src/core/clock.ts";
import type { Envelope } from "../../../../lambda/layer/src/core/envelope.ts";
import { createIds } from "../../../../lambda/layer/src/core/ids.ts";
import type { Ask, Entry, Page, Subscriber, Transport } from "../../../../lambda/layer/src/core/transport.ts";
import { createFakeClock, type FakeClock } from "../../../../lambda/layer/src/testing/fake-clock.ts";
import { createFill } from "../../../../lambda/layer/src/testing/seeded.ts";
import { createLocalTransport, type LocalOptions } from "../../../../lambda/layer/src/transports/local/index.ts";

export const never = new AbortController().signal;

export function topic(name: string): Channel {
	return createChannel("topic", name);
}

export function createBench(options: LocalOptions = {}, seed = 1) {
	const time = createFakeClock();
	let shift = 0;
	const clock: Clock & Pick<FakeClock, "advance"> & { jump(ms: number): void } = {
		now: () => time.now() + shift,
		monotonic: time.monotonic,
		after: time.after,
		advance: time.advance,
		/** As a time server does: only the wall clock moves. */
		jump: (ms) => {
			shift += ms;
		},
	};
	const ids = createIds(clock, createFill(seed));
	const transport = createLocalTransport(options, { clock, ids, instanceId: "one" });
	const envelope = (channel: Channel, n: number, padding = ""): Envelope => ({
		v: 1,
		id: ids.next(),
		channel,
		message: { jsonrpc: "2.0", method: "notifications/test", params: { n, padding } },
		publishedAt: clock.now(),
		origin: "one",
		lanes: ["local"],
	});
	const send = async (channel: Channel, ...numbers: number[]) => {
		const batch = numbers.map((n) => envelope(channel, n));
		return transport.publish(channel, batch, { mayExist: false }, never);
	};
	return { clock, ids, transport, envelope, send };
}

export async function started(options: LocalOptions = {}, seed = 1) {
	const bench = createBench(options, seed);
	await bench.transport.start({ report() {} }, never);
	return bench;
}

export function collect(): Subscriber & { readonly entries: Entry[] } {
	const entries: Entry[] = [];
	return { entries, entry: (entry) => void entries.push(entry), suspect() {}, ended() {} };
}

export async function readPage(transport: Transport, channel: Channel, from: Ask["from"], limit = 100): Promise<Page> {
	for await (const page of transport.read([{ channel, from, limit }], never)) return page;
	throw new Error("no page");
}

export function numbers(entries: readonly Entry[]): unknown[] {
	return entries.map(({ envelope }) => (envelope?.message as { params?: { n?: unknown } } | undefined)?.params?.n);
}

export function offsets(entries: readonly Entry[]): number[] {
	return entries.map(({ position }) => Number(position.offset));
}
