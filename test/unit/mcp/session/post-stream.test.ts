import { afterEach, expect, test } from "vitest";
import { createChannel } from "../../../../lambda/layer/src/core/channel.ts";
import { seamOf } from "../../../../lambda/layer/src/mcp/bus.ts";
import type { SessionHost } from "../../../../lambda/layer/src/mcp/session/host.ts";
import { MAX_REQUESTS } from "../../../../lambda/layer/src/mcp/session/post.ts";
import { PROBE_MS } from "../../../../lambda/layer/src/mcp/session/post-replay.ts";
import { MAX_UNREAD_BYTES } from "../../../../lambda/layer/src/mcp/session/sse-body.ts";
import { settle } from "../../../support/settle.ts";
import { buildV2, type FleetOptions, hello, post, type SessionFleet, startSessions, tool } from "./fleet.ts";
import { follow, get, open } from "./raw.ts";

let fleet: SessionFleet;
afterEach(() => fleet?.stop());
const start = async (size: number, options?: FleetOptions) => {
	fleet = await startSessions(size, options);
	return fleet;
};

/** Calls `run` and holds its answer back. */
async function running(session: string, place = 0) {
	const begun = Promise.withResolvers<void>();
	const done = Promise.withResolvers<unknown>();
	fleet.tools.run = () => {
		begun.resolve();
		return done.promise;
	};
	const response = fleet.call(place, post(tool("run", 7), session));
	await begun.promise;
	return { response, finish: done.resolve };
}

test("answers come as JSON when nothing else is said, as a stream when it takes long or the options say so", async () => {
	await start(1);
	const session = await open(fleet, 0);
	const quick = await fleet.call(0, post(tool("where"), session));
	expect(quick.headers.get("content-type")).toContain("application/json");
	expect(quick.headers.get("mcp-session-id")).toBe(session);
	const { response, finish } = await running(session);
	// Its head leaves before its answer.
	const stream = follow(await response);
	expect(stream.headers.get("content-type")).toBe("text/event-stream");
	finish("late");
	await stream.ended;
	expect(stream.messages).toMatchObject([{ id: 7, result: { content: [{ text: "late" }] } }]);
	expect(stream.frames[0]).not.toHaveProperty("id");
	await fleet.stop();
	await start(1, { sessionOptions: { responseMode: "sse" } });
	const opened = follow(await fleet.call(0, hello()));
	await opened.ended;
	expect(opened.messages).toMatchObject([{ id: 1 }]);
	expect(opened.headers.get("mcp-session-id")).not.toBeNull();
});

const MODES = ["auto", "sse", "json"] as const;
test.each(MODES.flatMap((mode) => [false, true].map((resumePosts) => [mode, resumePosts] as const)))(
	"an answer that is no JSON is an error for who waits for it, and told to its server: %s, resumable: %s",
	async (responseMode, resumePosts) => {
		const told: string[] = [];
		await start(1, {
			build(place) {
				const server = buildV2(place, fleet.tools);
				server.registerTool("big", { description: "counts" }, async () => ({ content: [], _meta: { n: 1n } }));
				server.server.onerror = ({ message }) => void told.push(message);
				return server;
			},
			sessionOptions: { responseMode, resumePosts },
		});
		const session = await open(fleet, 0);
		const batch = post([tool("big", 2), tool("where", 3)], session, { "mcp-protocol-version": "2025-03-26" });
		for (const init of [post(tool("big", 2), session), batch]) {
			const text = await (await fleet.call(0, init)).text();
			expect(text).toContain('"id":2,"error":{"code":-32603');
		}
		const failure = expect.stringContaining("BigInt");
		await expect.poll(() => told).toEqual([failure, failure]);
		expect(fleet.errors).toEqual([]);
	},
);

test("a client that leaves cancels nothing, and its answer goes nowhere", async () => {
	await start(1);
	const session = await open(fleet, 0);
	const { response, finish } = await running(session);
	const stream = follow(await response);
	await stream.cancel();
	finish("unheard");
	await settle();
	expect(fleet.errors).toEqual([]);
	expect((await fleet.call(0, post(tool("where", 7), session))).status).toBe(200);
});

for (const place of [0, 1]) {
	test(`[P3] a stream that broke is resumed on process ${place}: what was not seen, then what comes`, async () => {
		await start(2, { sessionOptions: { resumePosts: true, responseMode: "sse" } });
		const session = await open(fleet, 0);
		const { response, finish } = await running(session);
		const broken = follow(await response);
		await expect.poll(() => broken.frames.length).toBe(1);
		const [primer] = broken.frames;
		expect(primer).toMatchObject({ event: "cursor", data: "", retry: "1000" });
		await broken.cancel();
		const resumed = follow(await fleet.call(place, get(session, primer?.id)));
		await settle();
		expect(resumed.messages).toEqual([]);
		finish("resumed");
		await resumed.ended;
		expect(resumed.messages).toMatchObject([{ id: 7, result: { content: [{ text: "resumed" }] } }]);
		// Once more, after the end; and from the end there is nothing left to say.
		const again = follow(await fleet.call(1, get(session, primer?.id)));
		await again.ended;
		expect(again.messages).toHaveLength(1);
		const last = follow(await fleet.call(1, get(session, again.frames.at(-1)?.id)));
		await last.ended;
		expect(last.messages).toEqual([]);
		expect(fleet.errors).toEqual([]);
	});
}

test("[P5] a POST stream is resumed within its own session only", async () => {
	await start(2, { sessionOptions: { resumePosts: true, responseMode: "sse" } });
	const [mine, theirs] = [await open(fleet, 0), await open(fleet, 0)];
	const stream = follow(await fleet.call(0, post(tool("where", 3), theirs)));
	await stream.ended;
	const foreign = follow(await fleet.call(1, get(mine, stream.frames[0]?.id)));
	await foreign.ended;
	expect(foreign.messages).toEqual([]);
});

test("[P3] [P6] a tool that says more than a bound in one go is slowed down to its client, and nothing of it is lost", async () => {
	const count = 200;
	let said = 0;
	await start(1, {
		build(place, { session }) {
			const server = buildV2(place, fleet.tools, session);
			server.registerTool("flood", { description: "says a lot" }, async ({ mcpReq }) => {
				const data = "x".repeat(64 * 1024);
				for (; said < count; said += 1) {
					await mcpReq.notify({ method: "notifications/message", params: { level: "info", data } });
				}
				return { content: [] };
			});
			return server;
		},
	});
	const session = await open(fleet, 0);
	const response = await fleet.call(0, post(tool("flood"), session));
	await settle(100);
	expect(said).toBeLessThan(20);
	const stream = follow(response);
	await stream.ended;
	expect(stream.messages).toHaveLength(count + 1);
	expect(stream.messages.at(-1)).toMatchObject({ id: 2, result: {} });
});

test("[P3] [P6] what a call said is read again as fast as its client takes it, however much it is", async () => {
	const count = 100;
	const said = Promise.withResolvers<void>();
	await start(2, {
		sessionOptions: { resumePosts: true },
		build(place, { session }) {
			const server = buildV2(place, fleet.tools, session);
			server.registerTool("flood", { description: "says a lot" }, async ({ mcpReq }) => {
				const params = { level: "info" as const, data: "x".repeat(64 * 1024) };
				for (let n = 0; n < count; n += 1) await mcpReq.notify({ method: "notifications/message", params });
				said.resolve();
				return { content: [] };
			});
			return server;
		},
	});
	const session = await open(fleet, 0);
	const broken = follow(await fleet.call(0, post(tool("flood"), session)));
	while (broken.frames.length === 0) await settle(1);
	await broken.cancel();
	await said.promise;
	const response = await fleet.call(1, get(session, broken.frames[0]?.id));
	// Longer than it takes to think that nobody will answer.
	await settle(4 * PROBE_MS + 200);
	const stream = follow(response);
	await stream.ended;
	expect(stream.messages).toHaveLength(count + 1);
});

test("[P6] a client that does not read its stream is let go at the bound, and one that asks for too much at once waits", async () => {
	const said = Promise.withResolvers<number>();
	await start(1, {
		build(place, { session }) {
			const server = buildV2(place, fleet.tools, session);
			server.registerTool("flood", { description: "says a lot" }, async ({ mcpReq }) => {
				const params = { level: "info" as const, data: "x".repeat(64 * 1024) };
				// Who does not wait for what it says is not slowed down.
				await Promise.all(
					Array.from({ length: 200 }, () => mcpReq.notify({ method: "notifications/message", params })),
				);
				said.resolve(200);
				return { content: [] };
			});
			return server;
		},
	});
	const session = await open(fleet, 0);
	const response = await fleet.call(0, post(tool("flood"), session));
	expect(await said.promise).toBe(200);
	let bytes = 0;
	const reading = async () => {
		for await (const chunk of response.body as AsyncIterable<Uint8Array>) bytes += chunk.byteLength;
	};
	await expect(reading()).rejects.toThrow("unread");
	expect(bytes).toBeLessThanOrEqual(MAX_UNREAD_BYTES + 128 * 1024);
	fleet.tools.run = () => new Promise(() => {});
	const calls = Array.from({ length: MAX_REQUESTS }, (_, n) => fleet.call(0, post(tool("run", n), session)));
	await settle();
	expect((await fleet.call(0, post(tool("where", "more"), session))).status).toBe(429);
	await fleet.handlers[0]?.close();
	expect((await Promise.all(calls)).map(({ status }) => status)).toEqual(calls.map(() => 200));
});

test("an asker that is gone: who resumes its stream elsewhere gets an error for each request that nobody answered", async () => {
	await start(1, { sessionOptions: { resumePosts: true } });
	const session = await open(fleet, 0);
	const gone = `${crypto.randomUUID()}.1`;
	const channel = createChannel("post", `${session}/${gone}`);
	const said = [
		{ seq: 0, ids: [7, 8] },
		{ seq: 1, message: { jsonrpc: "2.0", id: 8, result: {} } },
	];
	const host = seamOf(fleet.fanouts[0]?.bus())?.deps.sessions as SessionHost;
	for (const params of said) await host.publish(channel, { jsonrpc: "2.0", method: "mcp-fanout/post", params });
	const resumed = follow(await fleet.call(0, get(session, `p${gone}.0`)));
	await resumed.ended;
	expect(resumed.messages).toMatchObject([
		{ id: 8, result: {} },
		{ id: 7, error: { code: -32_000 } },
	]);
});

test("a process that died before the log knew what was asked: whoever resumes hears an error all the same", async () => {
	await start(2, { sessionOptions: { resumePosts: true, responseMode: "sse" } });
	const session = await open(fleet, 0);
	fleet.broker.faults.refuse = 1;
	const { response } = await running(session);
	const first = follow(await response);
	await expect.poll(() => first.frames.length).toBe(1);
	// Its log is lost, and so is the process: another one's name in its cursor is as good as a death.
	await first.cancel();
	fleet.broker.faults.refuse = 0;
	const id = first.frames[0]?.id?.replace(/^p.{36}\.\d+/, "p00000000-0000-7000-8000-000000000000.1");
	const resumed = follow(await fleet.call(1, get(session, id)));
	await resumed.ended;
	expect(resumed.messages).toMatchObject([{ id: 7, error: { code: -32_000 } }]);
});
