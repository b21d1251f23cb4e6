/** Histories of the whole pipeline found by review, each of which broke a promise once. */
import { afterEach, expect, test } from "vitest";
import { createChannel } from "../../lambda/layer/src/core/channel.ts";
import type { Subscriber, Transport } from "../../lambda/layer/src/core/transport.ts";
import { createFanout, type Fanout } from "../../lambda/layer/src/fanout.ts";
import { FakeBroker } from "../../lambda/layer/src/testing/fake-broker.ts";
import { createFakeTransport } from "../../lambda/layer/src/testing/fake-transport.ts";
import { createRandom } from "../support/random.ts";
import { settle } from "../support/settle.ts";

const open: Fanout[] = [];
afterEach(async () => {
	await Promise.all(open.splice(0).map((fanout) => fanout.close()));
});

async function make(options: Parameters<typeof createFanout>[0] = {}) {
	const broker = new FakeBroker(createRandom(1).next);
	const subscribers: Subscriber[] = [];
	const inner = createFakeTransport(broker, { capabilities: { endCheckMs: 100 } });
	const transport: Transport = {
		...inner,
		subscribe(channel, subscriber) {
			subscribers.push(subscriber);
			return inner.subscribe(channel, subscriber);
		},
	};
	const fanout = await createFanout({ transports: [transport], timeoutMs: 500, ...options });
	open.push(fanout);
	return { broker, fanout, subscribers };
}

test("[P7] the bus hears again after its lane was ended by the transport, and is told what it may have missed", async () => {
	const { fanout, subscribers } = await make();
	const heard: string[] = [];
	fanout.bus().subscribe(({ kind }) => heard.push(kind));
	subscribers[0]?.ended("gap");
	await settle();
	expect(heard).toEqual(["tools_list_changed", "prompts_list_changed", "resources_list_changed"]);
	fanout.bus().publish({ kind: "prompts_list_changed" });
	await fanout.bus().flush();
	await settle();
	expect(heard.slice(3)).toEqual(["prompts_list_changed"]);
});

test("[P7] an `onerror` that throws stops nothing: a hole is filled all the same", async () => {
	const onerror = () => {
		throw new Error("onerror");
	};
	const { broker, fanout } = await make({ onerror });
	const heard: string[] = [];
	fanout.bus().subscribe(({ kind }) => heard.push(kind));
	Object.assign(broker.faults, { lose: 1, readFails: 1 });
	fanout.bus().publish({ kind: "tools_list_changed" });
	await fanout.bus().flush();
	await settle();
	broker.faults.lose = 0;
	fanout.bus().publish({ kind: "prompts_list_changed" });
	await fanout.bus().flush();
	await settle();
	broker.faults.readFails = 0;
	await expect.poll(() => heard, { timeout: 5_000 }).toEqual(["tools_list_changed", "prompts_list_changed"]);
});

test.each([[{ id: "no uuid" }], [{ id: "0190A3B4-0000-7000-8000-000000000000" }], [{ id: 7 }], [{ trace: "00-x" }]])(
	"a publish with %o is refused before any lane has it: readers could not decode it",
	async (more) => {
		const { broker, fanout } = await make();
		const channel = createChannel("topic", "a");
		const sent = fanout.publish(channel, { method: "notifications/message" }, more as never);
		await expect(sent).rejects.toMatchObject({ code: "InvalidEnvelope" });
		expect(broker.log(channel)).toBeUndefined();
	},
);

test.each([
	[{ session: undefined, tenant: "t" }],
	[{ principal: undefined, all: true }],
	[{ topic: null, tenant: "t" }],
	[{ all: false }],
	[{ all: false, tenant: "t" }],
	[{ tenant: undefined }],
	[{ tenant: null }],
	[{ topic: "a", tenant: null }],
	[null],
	[undefined],
	["all"],
])("[P5] the target %o is refused: a missing name never becomes everyone", async (target) => {
	const { fanout } = await make();
	expect(() => fanout.to(target as never)).toThrow(expect.objectContaining({ code: "InvalidChannel" }));
});

test("two transports of one name are refused: their lanes could not be told apart", async () => {
	const broker = new FakeBroker(createRandom(1).next);
	const transports = [createFakeTransport(broker), createFakeTransport(broker)];
	await expect(createFanout({ transports })).rejects.toMatchObject({ code: "ConfigInvalid" });
});
