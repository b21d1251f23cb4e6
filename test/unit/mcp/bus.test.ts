import { afterEach, expect, test } from "vitest";
import type { FanoutError } from "../../../lambda/layer/src/core/errors.ts";
import { createFanout, type Fanout } from "../../../lambda/layer/src/fanout.ts";
import type { ServerEvent } from "../../../lambda/layer/src/mcp/change.ts";
import { FakeBroker } from "../../../lambda/layer/src/testing/fake-broker.ts";
import { createFakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";
import { createFakeTransport } from "../../../lambda/layer/src/testing/fake-transport.ts";
import { createRandom } from "../../support/random.ts";
import { settle } from "../../support/settle.ts";

const open: Fanout[] = [];
afterEach(async () => {
	await Promise.all(open.splice(0).map((fanout) => fanout.close()));
});

async function fleet(size: number) {
	const broker = new FakeBroker(createRandom(5).next);
	const errors: FanoutError[] = [];
	const options = () => ({
		transports: [createFakeTransport(broker)],
		timeoutMs: 200,
		onerror: (error: FanoutError) => errors.push(error),
	});
	const fanouts = await Promise.all(Array.from({ length: size }, () => createFanout(options())));
	open.push(...fanouts);
	return { broker, errors, buses: fanouts.map((fanout) => fanout.bus()), fanouts };
}

test("[P2] an event published on one instance reaches listeners on every instance, once, params carried", async () => {
	const { buses } = await fleet(3);
	const heard: ServerEvent[][] = buses.map(() => []);
	for (const [index, bus] of buses.entries()) bus.subscribe((event) => heard[index]?.push(event));
	buses[0]?.publish({ kind: "tools_list_changed" });
	buses[0]?.publish({ kind: "resource_updated", uri: "docs://a", params: { _meta: { n: 1 } } });
	await buses[0]?.flush();
	await settle();
	for (const events of heard) {
		expect(events).toEqual([
			{ kind: "tools_list_changed" },
			{ kind: "resource_updated", uri: "docs://a", params: { _meta: { n: 1 } } },
		]);
	}
});

test("a listener that throws starves nobody, and one that unsubscribes hears no more", async () => {
	const { buses, errors } = await fleet(1);
	const [bus] = buses as [(typeof buses)[number]];
	const heard: string[] = [];
	bus.subscribe(() => {
		throw new Error("listener");
	});
	const stop = bus.subscribe(({ kind }) => heard.push(kind));
	bus.publish({ kind: "prompts_list_changed" });
	await bus.flush();
	await settle();
	stop();
	stop();
	bus.publish({ kind: "tools_list_changed" });
	await bus.flush();
	expect(heard).toEqual(["prompts_list_changed"]);
	expect(errors.map(({ code }) => code)).toContain("Unsupported");
});

test("[P1] publish never throws or rejects: failures go to onerror and to flush, once", async () => {
	const { buses, errors, broker } = await fleet(1);
	const [bus] = buses as [(typeof buses)[number]];
	for (const garbage of [null, undefined, {}, { kind: "toString" }, { kind: "resource_updated" }, { kind: "nope" }])
		bus.publish(garbage as never);
	await expect(bus.flush()).rejects.toMatchObject({ code: "AllBroadcastersFailed" });
	expect(errors).toHaveLength(6);
	await bus.flush();
	broker.faults.refuse = 1;
	bus.publish({ kind: "tools_list_changed" });
	await expect(bus.flush()).rejects.toMatchObject({ code: "AllBroadcastersFailed" });
});

test("[P3] what a listener missed is told as a change of every list", async () => {
	const { buses, broker, fanouts } = await fleet(1);
	const [bus] = buses as [(typeof buses)[number]];
	const [fanout] = fanouts as [Fanout];
	const heard: string[] = [];
	bus.subscribe(({ kind }) => heard.push(kind));
	bus.publish({ kind: "tools_list_changed" });
	await bus.flush();
	await settle();
	const { createChannel } = await import("../../../lambda/layer/src/core/channel.ts");
	const all = createChannel("all", "", { namespace: fanout.namespace });
	broker.reset(all);
	broker.nudge(all);
	await expect.poll(() => heard.length, { timeout: 5_000 }).toBe(4);
	expect(heard.slice(1).sort()).toEqual(["prompts_list_changed", "resources_list_changed", "tools_list_changed"]);
});

test("messages that a listen does not carry never reach a listener", async () => {
	const { buses, fanouts } = await fleet(1);
	const heard: unknown[] = [];
	buses[0]?.subscribe((event) => heard.push(event));
	await fanouts[0]?.to({ all: true }).send({ method: "notifications/message", params: { level: "info" } });
	await fanouts[0]?.to({ all: true }).send({ method: "notifications/resources/updated", params: { uri: 7 } });
	await settle();
	expect(heard).toEqual([]);
});

test("[P4] [P7] while the lane refuses, this process's listeners hear early copies, and nothing twice afterwards", async () => {
	const clock = createFakeClock();
	const broker = new FakeBroker(createRandom(6).next);
	const transports = [createFakeTransport(broker, { name: "wide" })];
	const fanout = await createFanout({ local: {}, transports, clock });
	open.push(fanout);
	const heard: unknown[] = [];
	fanout.bus().subscribe((event) => heard.push("uri" in event && event.uri));
	broker.faults.refuse = 1;
	const kept = fanout.notify.resourceUpdated("docs://a");
	await clock.advance(5_000);
	expect(await kept).toMatchObject({ accepted: [], queued: [{ lane: "wide" }] });
	expect(heard).toEqual(["docs://a"]);
	broker.faults.refuse = 0;
	await clock.advance(60_000);
	await fanout.notify.resourceUpdated("docs://b");
	await clock.advance(1);
	expect(heard).toEqual(["docs://a", "docs://b"]);
});
