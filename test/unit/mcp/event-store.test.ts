import {
	type EventStore,
	type JSONRPCMessage,
	McpServer,
	WebStandardStreamableHTTPServerTransport,
} from "@modelcontextprotocol/server";
import { afterEach, expect, test } from "vitest";
import { createChannel } from "../../../lambda/layer/src/core/channel.ts";
import { createFanout, type Fanout } from "../../../lambda/layer/src/fanout.ts";
import { createEventStore } from "../../../lambda/layer/src/mcp/index.ts";
import { FakeBroker } from "../../../lambda/layer/src/testing/fake-broker.ts";
import { createFakeTransport } from "../../../lambda/layer/src/testing/fake-transport.ts";
import { createRandom } from "../../support/random.ts";
import { hello, post } from "./session/fleet.ts";
import { follow, get } from "./session/raw.ts";

const fanouts: Fanout[] = [];
afterEach(async () => {
	for (const fanout of fanouts.splice(0)) await fanout.close();
});

async function start(broker = new FakeBroker(createRandom(3).next)): Promise<Fanout> {
	const fanout = await createFanout({ transports: [createFakeTransport(broker)] });
	fanouts.push(fanout);
	return fanout;
}

const said = (n: number): JSONRPCMessage => ({ jsonrpc: "2.0", method: "notifications/message", params: { n } });

async function replayed(store: EventStore, after: string) {
	const events: [string, JSONRPCMessage][] = [];
	const stream = await store.replayEventsAfter(after, { send: async (id, message) => void events.push([id, message]) });
	return { stream, events };
}

test("[P3] what one process stored another replays: in order, what came after, of its own stream", async () => {
	const broker = new FakeBroker(createRandom(3).next);
	const [a, b] = [await start(broker), await start(broker)];
	const [here, there]: EventStore[] = [createEventStore(a, "s"), createEventStore(b, "s")];
	if (here === undefined || there === undefined) throw new Error("two stores");
	const ids: string[] = [];
	for (let n = 0; n < 250; n += 1) {
		ids.push(await here.storeEvent("_GET_stream", n === 1 ? ({} as JSONRPCMessage) : said(n)));
		await here.storeEvent("other", said(-1));
	}
	const { stream, events } = await replayed(there, ids[0] as string);
	expect(stream).toBe("_GET_stream");
	// The empty event primed a stream: it is no message.
	expect(events.map(([, message]) => message)).toEqual(Array.from({ length: 248 }, (_, n) => said(n + 2)));
	expect(events.map(([id]) => id)).toEqual(ids.slice(2));
	expect(await there.getStreamIdForEventId?.(ids[0] as string)).toBe("_GET_stream");
	expect((await replayed(there, ids.at(-1) as string)).events).toEqual([]);
});

test("[P5] a session whose log another one could name, or which has no name yet, gets no store", async () => {
	const fanout = await start();
	for (const session of ["", "a/b", undefined, null]) {
		expect(() => createEventStore(fanout, session as string)).toThrow(
			expect.objectContaining({ code: "InvalidChannel" }),
		);
	}
});

test("[P5] events of another session, forged ones, and logs that lost their past are refused", async () => {
	const broker = new FakeBroker(createRandom(3).next);
	const fanout = await start(broker);
	const [mine, theirs]: EventStore[] = [createEventStore(fanout, "mine"), createEventStore(fanout, "theirs")];
	if (mine === undefined || theirs === undefined) throw new Error("two stores");
	const id = await theirs.storeEvent("_GET_stream", said(1));
	await theirs.storeEvent("_GET_stream", said(2));
	for (const forged of [id, "nonsense", `${id}x`, id.replace(/\.fake\./, ".nats.")]) {
		const events = await replayed(mine, forged).then(
			(got) => got.events,
			() => [],
		);
		expect(events).toEqual([]);
	}
	broker.truncate(createChannel("post", "theirs/_GET_stream"), 2);
	await expect(replayed(theirs, id)).rejects.toMatchObject({ code: "InvalidCursor" });
	await expect(replayed(mine, "nonsense")).rejects.toMatchObject({ code: "InvalidCursor" });
});

test("under the SDK's own transport: a GET stream that broke is resumed from the store", async () => {
	const fanout = await start();
	const session = crypto.randomUUID();
	const transport = new WebStandardStreamableHTTPServerTransport({
		sessionIdGenerator: () => session,
		eventStore: createEventStore(fanout, session),
	});
	const server = new McpServer({ name: "own", version: "1.0.0" }, { capabilities: { tools: { listChanged: true } } });
	await server.connect(transport);
	const call = (init: RequestInit) => transport.handleRequest(new Request("http://localhost/mcp", init));
	await (await call(hello())).text();
	await call(post({ jsonrpc: "2.0", method: "notifications/initialized" }, session));
	const broken = follow(await call(get(session)));
	await server.server.sendToolListChanged();
	await expect.poll(() => broken.messages.length).toBe(1);
	await broken.cancel();
	await server.server.sendToolListChanged();
	const resumed = follow(await call(get(session, broken.frames.at(-1)?.id)));
	await expect.poll(() => resumed.messages.length).toBe(1);
	await server.close();
});
