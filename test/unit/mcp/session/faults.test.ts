import { McpServer } from "@modelcontextprotocol/server";
import { afterEach, expect, test } from "vitest";
import type { Store } from "../../../../lambda/layer/src/sessions/store.ts";
import { createFakeClock } from "../../../../lambda/layer/src/testing/fake-clock.ts";
import { settle } from "../../../support/settle.ts";
import {
	buildV2,
	type FleetOptions,
	hello,
	methodIn,
	post,
	type SessionFleet,
	startSessions,
	textOf,
	tool,
} from "./fleet.ts";
import { callTool, follow, get, open } from "./raw.ts";

let fleet: SessionFleet;
afterEach(() => fleet?.stop());
const start = async (size: number, options?: FleetOptions) => {
	fleet = await startSessions(size, options);
	return fleet;
};

test("a rolling deploy: a server that can less, or speaks another version, is no match: 404, and the session lives on", async () => {
	const less = () => new McpServer({ name: "fleet", version: "2.0.0" }, { capabilities: { tools: {} } });
	await start(2, { build: (place, { session }) => (place === 0 ? buildV2(0, fleet.tools, session) : less()) });
	const session = await open(fleet, 0);
	expect((await callTool(fleet, 1, session, "where")).status).toBe(404);
	expect((await callTool(fleet, 0, session, "where")).status).toBe(200);
	await fleet.stop();
	const older = { supportedProtocolVersions: ["2025-03-26"] };
	const old = () => new McpServer({ name: "fleet", version: "0.1.0" }, { capabilities: { tools: {} }, ...older });
	await start(2, { build: (place, { session }) => (place === 0 ? buildV2(0, fleet.tools, session) : old()) });
	const other = await open(fleet, 0);
	expect((await callTool(fleet, 1, other, "where")).status).toBe(404);
});

test("a factory that throws, or never ends, answers 500 and leaves no session; the next request tries again", async () => {
	let isBroken = true;
	await start(2, {
		build(place, { session }) {
			if (isBroken) throw new Error("secret detail");
			return buildV2(place, fleet.tools, session);
		},
	});
	const refused = await fleet.call(0, hello());
	expect(refused.status).toBe(500);
	expect(await refused.text()).not.toContain("secret");
	expect(fleet.errors.map(({ message }) => message).join()).toContain("secret detail");
	isBroken = false;
	const session = await open(fleet, 0);
	isBroken = true;
	expect((await callTool(fleet, 1, session, "where")).status).toBe(500);
	isBroken = false;
	expect((await callTool(fleet, 1, session, "where")).status).toBe(200);
	expect(fleet.handlers.map(({ sessions }) => sessions)).toEqual([1, 1]);
});

test("many requests for one session at once take it over once", async () => {
	let built = 0;
	await start(2, {
		async build(place, { session }) {
			built += 1;
			await settle();
			return buildV2(place, fleet.tools, session);
		},
	});
	const session = await open(fleet, 0);
	const calls = await Promise.all(
		Array.from({ length: 20 }, (_, n) => fleet.call(1, post(tool("where", n + 1), session))),
	);
	expect(calls.map(({ status }) => status)).toEqual(calls.map(() => 200));
	expect(built).toBe(2);
});

test("an answer for a process that is gone, or that nobody asked for, is taken and dropped", async () => {
	await start(2);
	const session = await open(fleet, 0);
	for (const id of [`${crypto.randomUUID()}.1`, 1, "nonsense", `${fleet.fanouts[1]?.instanceId}.99`]) {
		const answer = { jsonrpc: "2.0", id, result: { action: "accept" } };
		expect((await fleet.call(1, post(answer, session))).status).toBe(202);
	}
});

test("an answer posted to another session than was asked reaches nobody", async () => {
	// Servers of v1 ask on the stream of the call, those of v2 on the GET stream.
	await start(2, { server: "v1" });
	const [asked, other] = [await open(fleet, 0), await open(fleet, 0)];
	const stream = follow(await fleet.call(0, post(tool("ask"), asked)));
	await expect.poll(() => stream.messages.length).toBe(1);
	const [ask] = stream.messages;
	expect(ask?.id).toMatch(/^[0-9a-f-]{36}\.\d+$/);
	const answer = { jsonrpc: "2.0", id: ask?.id, result: { action: "decline" } };
	expect((await fleet.call(1, post(answer, other))).status).toBe(202);
	await settle();
	expect(stream.isEnded).toBe(false);
	expect((await fleet.call(1, post(answer, asked))).status).toBe(202);
	await stream.ended;
	expect(JSON.stringify(stream.messages.at(-1))).toContain("decline");
});

test("a cancellation reaches the process that runs the request, and ends its stream", async () => {
	for (const client of ["v1", "v2"] as const) {
		await start(3);
		const one = await fleet.connect(client, (init) => (methodIn(init) === "tools/call" ? 0 : 2));
		const running = Promise.withResolvers<AbortSignal>();
		fleet.tools.run = (_place, signal) => {
			running.resolve(signal);
			return new Promise(() => {});
		};
		const cancel = new AbortController();
		const options = { signal: cancel.signal };
		const call = one.client.callTool(
			{ name: "run", arguments: {} },
			...((client === "v1" ? [undefined, options] : [options]) as [never]),
		);
		const failed = expect(call).rejects.toThrow();
		const signal = await running.promise;
		cancel.abort();
		await expect.poll(() => signal.aborted).toBe(true);
		await failed;
		await fleet.stop();
	}
});

test("the application's state follows the session", async () => {
	await start(3);
	const one = await fleet.connect("v2");
	const call = (name: string, args = {}) => textOf(one.client.callTool({ name, arguments: args }));
	await call("save", { value: "kept" });
	await expect
		.poll(async () => [await call("load"), await call("load"), await call("load")], { timeout: 5_000 })
		.toEqual(Array.from({ length: 3 }, () => '{"value":"kept"}'));
});

test("what a factory saves and does not wait for is kept, however slow the registry is", async () => {
	for (const when of ["in the factory", "once it is connected"]) {
		const remote = (store: Store): Store => ({
			...store,
			async read(...args) {
				await settle(5);
				return store.read(...args);
			},
			async write(...args) {
				await settle(20);
				return store.write(...args);
			},
		});
		await start(2, {
			store: remote,
			build(place, { session }) {
				const save = () => void session.state.save(when);
				if (!session.adopted) when === "in the factory" ? save() : setTimeout(save, 10);
				return buildV2(place, fleet.tools, session);
			},
		});
		const session = await open(fleet, 0);
		for (const place of [0, 1]) expect((await callTool(fleet, place, session, "load")).body).toContain(when);
		await fleet.stop();
	}
});

test("the log level is the session's on every process, whether it was there before or comes later", async () => {
	const levels: string[] = [];
	await start(3, {
		build(place, { session }) {
			const server = buildV2(place, fleet.tools, session);
			server.server.setRequestHandler("logging/setLevel", async ({ params }) => {
				levels.push(`${place} ${params.level}`);
				return {};
			});
			return server;
		},
	});
	const session = await open(fleet, 0);
	await callTool(fleet, 1, session, "where");
	const set = { jsonrpc: "2.0", id: 4, method: "logging/setLevel", params: { level: "warning" } };
	await (await fleet.call(0, post(set, session))).text();
	await expect.poll(() => levels.toSorted()).toEqual(["0 warning", "1 warning"]);
	await callTool(fleet, 2, session, "where");
	expect(levels.toSorted()).toEqual(["0 warning", "1 warning", "2 warning"]);
});

test("a session that nobody uses or hears ends, and one that is too old does however much it is used", async () => {
	const clock = createFakeClock();
	await start(2, { clock, sessionOptions: { idleMs: 400 } });
	const [used, idle] = [await open(fleet, 0), await open(fleet, 0)];
	const heard = await open(fleet, 0);
	const stream = follow(await fleet.call(1, get(heard)));
	for (let n = 0; n < 8; n += 1) {
		await clock.advance(100);
		expect((await callTool(fleet, n % 2, used, "where")).status).toBe(200);
	}
	expect((await callTool(fleet, 1, idle, "where")).status).toBe(404);
	expect(stream.isEnded).toBe(false);
	expect((await callTool(fleet, 0, heard, "where")).status).toBe(200);
	await fleet.stop();
	await start(1, { clock, sessionOptions: { maxAgeMs: 300, idleMs: 800 } });
	const old = await open(fleet, 0);
	const ending = follow(await fleet.call(0, get(old)));
	for (let n = 0; n < 3; n += 1) {
		await clock.advance(90);
		expect((await callTool(fleet, 0, old, "where")).status).toBe(200);
	}
	await clock.advance(200);
	await ending.ended;
	expect((await callTool(fleet, 0, old, "where")).status).toBe(404);
});

test("[P6] at the bound the session that was used least recently rests, and is taken over again when it is needed", async () => {
	await start(1, { sessionOptions: { maxSessions: 2 } });
	const sessions = [await open(fleet, 0), await open(fleet, 0), await open(fleet, 0)];
	expect(fleet.handlers[0]?.sessions).toBe(2);
	for (const session of sessions) expect((await callTool(fleet, 0, session, "where")).status).toBe(200);
	fleet.tools.run = () => new Promise(() => {});
	for (const session of sessions.slice(0, 2)) {
		void fleet.call(0, post(tool("run"), session));
		await settle();
	}
	// Those at work are not put to rest.
	expect((await fleet.call(0, hello())).status).toBe(503);
});

test("a drain lets what runs finish, then gives all back", async () => {
	await start(2);
	const session = await open(fleet, 0);
	const done = Promise.withResolvers<unknown>();
	fleet.tools.run = () => done.promise;
	const call = fleet.call(0, post(tool("run"), session));
	await settle();
	const drained = fleet.handlers[0]?.drain({ graceMs: 5_000 });
	await settle(100);
	done.resolve("finished");
	expect(await (await call).text()).toContain("finished");
	await drained;
	expect(fleet.handlers[0]?.sessions).toBe(0);
	expect((await fleet.call(0, post(tool("where"), session))).status).toBe(503);
	expect((await callTool(fleet, 1, session, "where")).status).toBe(200);
});
