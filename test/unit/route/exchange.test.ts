/** What `prepare` does to queues: those of a transport that goes, and those of one that is exchanged. */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { afterEach, expect, test } from "vitest";
import type { Transport } from "../../../lambda/layer/src/core/transport.ts";
import { createOutgoing, type Outgoing, type OutgoingOptions } from "../../../lambda/layer/src/outgoing.ts";
import { FakeBroker } from "../../../lambda/layer/src/testing/fake-broker.ts";
import { createFakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";
import { createFakeTransport } from "../../../lambda/layer/src/testing/fake-transport.ts";
import { createRandom } from "../../support/random.ts";
import { envelopeOf, inLog } from "../publish/outbox-world.ts";

const OPTIONS: OutgoingOptions = { timeoutMs: 5_000, priorities: {}, disabled: [] };
let outgoing: Outgoing | undefined;
afterEach(() => outgoing?.close());

async function scene() {
	const clock = createFakeClock();
	const [a, b] = [new FakeBroker(createRandom(1).next), new FakeBroker(createRandom(2).next)];
	const told: string[] = [];
	const deps = { clock, random: createRandom(3).next, report: ({ message }: Error) => told.push(message) };
	const [ofA, ofB] = [createFakeTransport(a, { name: "a" }), createFakeTransport(b, { name: "b" })];
	const made = await createOutgoing([ofA, ofB], OPTIONS, deps);
	outgoing = made;
	const publish = (n: number) => {
		const envelope = envelopeOf("c", n, clock, ["a"]);
		return made.publish({ lanes: ["a"], backup: false }, envelope, () => {});
	};
	return { clock, a, b, ofA, ofB, told, made, publish };
}

/** Holds what it is offered until it is let go. */
function slow(transport: Transport) {
	const gate = Promise.withResolvers<void>();
	const publish: Transport["publish"] = async (...args) => {
		await gate.promise;
		return transport.publish(...args);
	};
	return { transport: { ...transport, publish }, letGo: () => gate.resolve() };
}

test("[P7] [P9] a lane that goes has its time for what is in flight and queued; what it cannot send is told as lost", async () => {
	const { clock, a, ofB, made, publish, told } = await scene();
	a.faults.refuse = 1;
	const first = publish(1);
	await clock.advance(4_000);
	a.faults.refuse = 0;
	let isOver = false;
	(await made.prepare([ofB], OPTIONS))().then(() => {
		isOver = true;
	});
	expect(made.health.map(({ lane }) => lane)).toEqual(["b"]);
	expect(isOver).toBe(false);
	await clock.advance(2_000);
	expect(await first).toMatchObject([{ ok: true }]);
	expect(inLog(a, "c")).toEqual([1]);
	await clock.advance(10_000);
	expect([isOver, told]).toEqual([true, []]);
});

test("[P7] a lane whose target is away goes without waiting for it, and tells what is lost", async () => {
	const { clock, a, ofB, made, publish, told } = await scene();
	a.faults.refuse = 1;
	for (const n of [1, 2]) publish(n);
	await clock.advance(30_000);
	let isOver = false;
	(await made.prepare([ofB], OPTIONS))().then(() => {
		isOver = true;
	});
	await clock.settle();
	expect(isOver).toBe(true);
	expect(told).toEqual([expect.stringMatching(/^2 envelopes that were queued for a are lost/)]);
});

test("[P2] [P4] a transport that is exchanged answers what it has in flight; what is behind it goes to the new one, in order, with its breaker closed", async () => {
	const { clock, a, ofB, made, publish } = await scene();
	const { transport, letGo } = slow(createFakeTransport(a, { name: "a" }));
	await (await made.prepare([transport, ofB], OPTIONS))();
	const sent = [publish(1)];
	await clock.settle();
	sent.push(publish(2));
	let isIdle = false;
	(await made.prepare([createFakeTransport(a, { name: "a" }), ofB], OPTIONS))().then(() => {
		isIdle = true;
	});
	sent.push(publish(3));
	await clock.settle();
	expect([isIdle, inLog(a, "c")]).toEqual([false, []]);
	letGo();
	await clock.settle();
	expect([isIdle, inLog(a, "c")]).toEqual([true, [1, 2, 3]]);
	expect((await Promise.all(sent)).flat().map(({ ok }) => ok)).toEqual([true, true, true]);

	a.faults.refuse = 1;
	publish(4);
	await clock.advance(30_000);
	expect(made.health[0]).toMatchObject({ breaker: "open", outbox: { envelopes: 1 } });
	a.faults.refuse = 0;
	await (await made.prepare([createFakeTransport(a, { name: "a" }), ofB], OPTIONS))();
	await clock.settle();
	expect(made.health[0]).toMatchObject({ breaker: "closed", outbox: { envelopes: 0 } });
	expect(inLog(a, "c")).toEqual([1, 2, 3, 4]);
});

test("a breaker that was open is told as closed when its transport is exchanged", async () => {
	const { clock, a, ofB, made, publish } = await scene();
	const states: unknown[] = [];
	const hear = (event: unknown) => void states.push(event);
	subscribe("mcp-fanout:breaker", hear);
	try {
		a.faults.refuse = 1;
		publish(1);
		await clock.advance(20_000);
		expect(states.at(-1)).toEqual({ lane: "a", state: "open" });
		await (await made.prepare([createFakeTransport(a, { name: "a" }), ofB], OPTIONS))();
		expect(states.at(-1)).toEqual({ lane: "a", state: "closed" });
		const { length } = states;
		await (await made.prepare([createFakeTransport(a, { name: "a" }), ofB], OPTIONS))();
		expect(states).toHaveLength(length);
	} finally {
		unsubscribe("mcp-fanout:breaker", hear);
	}
});
