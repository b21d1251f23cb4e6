import { createMcpHandler, McpServer } from "@modelcontextprotocol/server";
import { describe, expect, test } from "vitest";
import { type Channel, createChannel } from "../../lambda/layer/src/core/channel.ts";
import { decodeCursor, emptySince, laneKey, laneTag, placeCode } from "../../lambda/layer/src/core/cursor.ts";
import { sealEnvelope, WRITTEN_VERSION } from "../../lambda/layer/src/core/envelope.ts";
import { createIds } from "../../lambda/layer/src/core/ids.ts";
import type { Capabilities, Subscriber, Transport } from "../../lambda/layer/src/core/transport.ts";
import { createFanout } from "../../lambda/layer/src/fanout.ts";
import { createFollowing } from "../../lambda/layer/src/following.ts";
import { createFleetHandler } from "../../lambda/layer/src/mcp/index.ts";
import { controlTransport } from "../../lambda/layer/src/outgoing.ts";
import { createSessionHost, type SessionHostParts } from "../../lambda/layer/src/session-host.ts";
import { FakeBroker } from "../../lambda/layer/src/testing/fake-broker.ts";
import { createFakeTransport } from "../../lambda/layer/src/testing/fake-transport.ts";
import { createFakeClock } from "../../lambda/layer/src/testing/index.ts";
import { createRandom } from "../support/random.ts";

const fake = (name: string, more: Partial<Capabilities>) => {
	const transport = createFakeTransport(new FakeBroker(createRandom(1).next));
	return { ...transport, name, capabilities: { ...transport.capabilities, ...more } };
};

test("control addresses are of the first transport that a fleet shares", () => {
	const [local, nats, aws] = [
		fake("local", { reach: "process" }),
		fake("nats", { reach: "fleet" }),
		fake("aws", { reach: "region" }),
	];
	expect(controlTransport([local, nats, aws])?.name).toBe("nats");
	expect(controlTransport([local, aws, nats])?.name).toBe("aws");
	expect(controlTransport([local])?.name).toBe("local");
	expect(controlTransport([])).toBeUndefined();
});

test("sessions are refused at once where nothing is followed", async () => {
	const build = () => new McpServer({ name: "x", version: "1.0.0" });
	const fanout = await createFanout({ follow: false });
	const mcp = createMcpHandler(build, { bus: fanout.bus() });
	expect(() => createFleetHandler(mcp, { fanout, sessions: build })).toThrow("only publishes");
	await fanout.close();
});

describe("a control address", () => {
	const channel = createChannel("instance", "one");

	async function hearing(transports: readonly Transport[]) {
		const clock = createFakeClock();
		const ids = createIds(clock);
		const heard: unknown[] = [];
		const report = (error: unknown) => void heard.push(error);
		const nothing = async () => {};
		const following = createFollowing({
			...{ mode: true, transports, clock, random: () => 0, report, start: nothing, close: nothing },
			...{ follower: async (transport) => transport, opened: nothing, ended: nothing },
		});
		const { engines, feeds } = following;
		const host = createSessionHost({ engines, feeds, clock, report } as unknown as SessionHostParts);
		const feed = host.openFeed(
			{ channels: [channel] },
			{
				deliver: ({ message }) => void heard.push("method" in message && message.method),
				mark: (reason) => void heard.push(reason),
				cursor() {},
				end: (reason) => void heard.push(reason),
			},
		);
		await feed.opened;
		const said = async (transport: Transport, method: string) => {
			const fields = { v: WRITTEN_VERSION, id: ids.next(), channel, origin: ids.next(), lanes: [transport.name] };
			const envelope = sealEnvelope({ ...fields, message: { jsonrpc: "2.0", method }, publishedAt: clock.now() });
			await transport.publish(channel, [envelope], { mayExist: false }, new AbortController().signal);
			await clock.settle();
		};
		const stop = async () => {
			feed.close();
			await following.close();
		};
		return { following, clock, heard, said, stop };
	}

	test("[P3] is heard where it is spoken to, when a transport is added in front of the others", async () => {
		const [redis, nats] = [fake("redis", { reach: "fleet" }), fake("nats", { reach: "fleet" })];
		const { following, clock, heard, said, stop } = await hearing([redis]);
		await said(redis, "a");
		await following.add([nats]);
		const left = following.swap([nats, redis]);
		await clock.settle();
		await said(nats, "b");
		left.close();
		await said(nats, "c");
		expect(heard).toEqual(["a", "gap", "b", "c"]);
		await stop();
	});

	test("[P3] whose lane the transport ends is followed anew: nobody would come back for it", async () => {
		const subscribers: Subscriber[] = [];
		const inner = fake("aws", { reach: "region" });
		const aws: Transport = {
			...inner,
			subscribe(followed, subscriber) {
				subscribers.push(subscriber);
				return inner.subscribe(followed, subscriber);
			},
		};
		const { clock, heard, said, stop } = await hearing([aws]);
		subscribers[0]?.ended("gap");
		await clock.settle();
		await said(aws, "a");
		expect(heard).toEqual(["gap", "a"]);
		await stop();
	});
});

test("[P4] a cursor without an end of one of its logs would be read from that log's beginning: there is none", async () => {
	const [known, missing] = ["known", "missing"].map((id) => createChannel("topic", id)) as [Channel, Channel];
	const whole = fake("nats", { reach: "fleet" });
	const partly: Transport = {
		...whole,
		async ends(channels, signal) {
			const ends = await whole.ends(channels, signal);
			for (const [at, channel] of channels.entries()) if (channel === missing) delete ends[at];
			return ends;
		},
	};
	await partly.start({ report() {} }, new AbortController().signal);
	const parts = { engines: [], transports: [partly], feeds: new Set(), clock: createFakeClock() };
	const host = createSessionHost(parts as unknown as SessionHostParts);
	const fresh = createChannel("post", "session/1");
	expect(await host.cursorOf(fresh, [known])).toBeTruthy();
	await expect(host.cursorOf(fresh, [known, missing])).rejects.toMatchObject({ code: "TransportUnavailable" });
	await partly.close();
});

test("[P7] a session opens while its transport does not say where logs end: its own lane is then listed as empty", async () => {
	const clock = createFakeClock();
	const nats = fake("nats", { reach: "fleet" });
	const ends = async () => Promise.reject(new Error("away"));
	const { engines, feeds, close } = createFollowing({
		...{ mode: true, transports: [{ ...nats, ends }], clock, random: () => 0, report() {}, start: async () => {} },
		...{
			close: async () => {},
			follower: async (transport) => transport,
			opened: async () => {},
			ended: async () => {},
		},
	});
	const heard: unknown[] = [];
	const report = (error: unknown) => void heard.push(error);
	const host = createSessionHost({ engines, feeds, clock, report } as unknown as SessionHostParts);
	const fresh = createChannel("session", "one");
	const lanes = decodeCursor(await host.cursorOf(fresh, [createChannel("all", "")]));
	expect(lanes.get(laneKey(laneTag(fresh), placeCode(nats.place)))).toEqual(emptySince(clock.now()));
	expect(lanes.size).toBe(2);
	expect(heard).toMatchObject([{ code: "TransportUnavailable" }]);
	await close();
});
