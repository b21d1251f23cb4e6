/** `startup: "degrade"` while one transport cannot start: nobody waits for it, nothing for it is lost, and it joins later. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { FanoutError } from "../../lambda/layer/src/core/errors.ts";
import type { Transport, TransportHost } from "../../lambda/layer/src/core/transport.ts";
import { createFanout, type Fanout } from "../../lambda/layer/src/fanout.ts";
import { listen } from "../../lambda/layer/src/observe/index.ts";
import { FakeBroker } from "../../lambda/layer/src/testing/fake-broker.ts";
import { createFakeClock } from "../../lambda/layer/src/testing/fake-clock.ts";
import { createFakeTransport } from "../../lambda/layer/src/testing/fake-transport.ts";
import { freePorts } from "../support/ports.ts";
import { createRandom } from "../support/random.ts";

const closing: (() => unknown)[] = [];
afterEach(async () => {
	for (const close of closing.splice(0).reverse()) await close();
});

/** A transport whose broker is away until `wake`: by then it takes and gives nothing. */
function sleeper(): { readonly transport: Transport; wake(): void } {
	const inner = createFakeTransport(new FakeBroker(createRandom(1).next), { name: "late" });
	let isAwake = false;
	let isStarted = false;
	const away = () =>
		new FanoutError("TransportUnavailable", "the late transport has not started yet", { retryable: true });
	const transport: Transport = {
		...inner,
		async start(host, signal) {
			if (!isAwake) throw new FanoutError("TransportUnavailable", "nobody listens", { retryable: true });
			await inner.start(host, signal);
			isStarted = true;
		},
		async publish(channel, batch, how, signal) {
			if (isStarted) return inner.publish(channel, batch, how, signal);
			return batch.map(() => ({ ok: false, uncertain: false, error: away() }));
		},
		subscribe(channel, subscriber) {
			if (isStarted) return inner.subscribe(channel, subscriber);
			const ready = Promise.reject(away());
			ready.catch(() => undefined);
			return { ready, close() {} };
		},
		async ends(channels, signal) {
			if (!isStarted) throw away();
			return inner.ends(channels, signal);
		},
	};
	return {
		transport,
		wake() {
			isAwake = true;
		},
	};
}

test("[P7] nobody waits for it: neither the start nor a client stream, which is told `gap` and hears it when it has started", async () => {
	const clock = createFakeClock();
	const { transport, wake } = sleeper();
	const fine = createFakeTransport(new FakeBroker(createRandom(1).next), { name: "fine" });
	const errors: string[] = [];
	const onerror = ({ message }: FanoutError) => void errors.push(message);
	const fanout = await createFanout({ transports: [fine, transport], startup: "degrade", clock, onerror });
	closing.push(() => fanout.close());
	const response = fanout.response(new Request("http://here/"), { session: "s" });
	const reader = (response.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream()).getReader();
	const until = async (what: string) => {
		for (let text = ""; !text.includes(what); ) text += (await reader.read()).value;
	};
	await until('{"reason":"gap"}');
	const connected = () => fanout.health().targets.map((target) => [target.lane, target.connected]);
	expect(connected()).toEqual([
		["fine", true],
		["late", false],
	]);
	wake();
	await clock.advance(1_000);
	await until('{"reason":"gap"}');
	expect(connected()).toContainEqual(["late", true]);
	await fanout.to({ session: "s" }).send({ method: "notifications/message", params: { data: "hello" } });
	await until("hello");
	expect(new Set(errors)).toEqual(new Set(["nobody listens"]));
	await reader.cancel();
});

test("[P7] a send to it is queued in the turn in which it would be sent: it has said that it cannot take it yet", async () => {
	const clock = createFakeClock();
	const { transport } = sleeper();
	const fine = createFakeTransport(new FakeBroker(createRandom(1).next), { name: "fine" });
	const options = { transports: [transport, fine], startup: "degrade", clock, onerror: () => undefined } as const;
	const fanout = await createFanout(options);
	closing.push(() => fanout.close());
	const sent = fanout.notify.toolsChanged();
	// The clock stands still: who waits for a deadline waits.
	await clock.settle();
	const { accepted, queued } = (await Promise.race([sent, undefined])) ?? { accepted: [], queued: [] };
	expect(accepted).toMatchObject([{ lane: "fine" }]);
	expect(queued).toMatchObject([{ lane: "late", uncertain: false }]);
	expect(String(queued[0]?.error.message)).toMatch(/has not started/);
});

test("[P7] what was kept for it leaves when it has started, however long its breaker would have waited by then", async () => {
	const clock = createFakeClock();
	const { transport, wake } = sleeper();
	const fine = createFakeTransport(new FakeBroker(createRandom(1).next), { name: "fine" });
	const options = { transports: [transport, fine], startup: "degrade", clock, onerror: () => undefined } as const;
	const fanout = await createFanout(options);
	closing.push(() => fanout.close());
	const late = () => fanout.health().targets.find(({ lane }) => lane === "late");
	for (let n = 0; n < 8; n += 1) {
		await fanout.notify.toolsChanged();
		await clock.advance(60_000);
	}
	expect(late()).toMatchObject({ connected: false, breaker: "open", outbox: { envelopes: 8 } });
	wake();
	for (let waited = 0; waited < 60 && late()?.connected !== true; waited += 1) await clock.advance(1_000);
	await clock.advance(1_000);
	expect(late()).toMatchObject({ connected: true, breaker: "closed", outbox: { envelopes: 0, dropped: 0 } });
});

test("[P7] what is sent to it is queued, without a doubt, and outlives a restart in the outbox's file", async () => {
	const directory = mkdtempSync(join(tmpdir(), "fanout-late-"));
	closing.push(() => rmSync(directory, { recursive: true }));
	const [port] = await freePorts(1);
	const options = {
		local: {},
		outbox: { file: join(directory, "outbox.db") },
		startup: "degrade",
		timeoutMs: 100,
	} as const;
	for (const remote of [
		{ nats: { servers: `nats://127.0.0.1:${port}` } },
		{ redis: { url: `redis://127.0.0.1:${port}`, connectTimeoutMs: 100 } },
	]) {
		const [lane] = Object.keys(remote);
		const open = async (): Promise<Fanout> => {
			const fanout = await createFanout({ ...options, ...remote });
			closing.push(() => fanout.close());
			return fanout;
		};
		const first = await open();
		const receipt = await first.notify.toolsChanged();
		expect(receipt).toMatchObject({ accepted: [], queued: [{ lane, uncertain: false }], failed: [] });
		await first.close();
		const second = await open();
		await second.notify.toolsChanged();
		const kept = second.health().targets.find((target) => target.lane === lane)?.outbox;
		expect(kept).toMatchObject({ envelopes: 2, dropped: 0, file: "ok" });
		await second.close();
	}
});

test("a connection that is lost is told once, however often it is dialled again, and health says so meanwhile", async () => {
	const inner = createFakeTransport(new FakeBroker(createRandom(1).next));
	const states: string[] = [];
	const off = listen("transport", ({ state }) => void states.push(state));
	closing.push(off);
	const hosts: TransportHost[] = [];
	const start: Transport["start"] = async (host, signal) => {
		hosts.push(host);
		await inner.start(host, signal);
	};
	const fanout = await createFanout({ transports: [{ ...inner, start }] });
	for (let dial = 0; dial < 3; dial += 1) hosts[0]?.report({ kind: "disconnected" });
	expect(fanout.health().targets).toMatchObject([{ connected: false }]);
	hosts[0]?.report({ kind: "connected" });
	expect(fanout.health().targets).toMatchObject([{ connected: true }]);
	await fanout.close();
	expect(states).toEqual(["starting", "connected", "disconnected", "connected", "closed"]);
});
