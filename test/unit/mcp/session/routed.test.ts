import { CreateMessageResultSchema } from "@modelcontextprotocol/sdk/types.js";
import { afterEach, expect, test } from "vitest";
import { MAX_SUBSCRIPTIONS } from "../../../../lambda/layer/src/mcp/session/facts.ts";
import type { Store } from "../../../../lambda/layer/src/sessions/store.ts";
import { FAKE_CAPABILITIES } from "../../../../lambda/layer/src/testing/fake-transport.ts";
import { settle } from "../../../support/settle.ts";
import { buildV1, buildV2, type FleetOptions, hello, post, type SessionFleet, startSessions, tool } from "./fleet.ts";
import { callTool, follow, get, open } from "./raw.ts";

let fleet: SessionFleet;
afterEach(() => fleet?.stop());
const start = async (size: number, options?: FleetOptions) => {
	fleet = await startSessions(size, options);
	return fleet;
};
const status = async (place: number, init: RequestInit) => (await fleet.call(place, init)).status;

test("progress with a request of the server reaches the process that asked", async () => {
	const progress: number[] = [];
	await start(3, {
		build(place) {
			const server = buildV1(place, fleet.tools);
			server.registerTool("sample", { description: "asks a model" }, async ({ requestId }) => {
				const message = { role: "user" as const, content: { type: "text" as const, text: "?" } };
				const params = { messages: [message], maxTokens: 10 };
				const result = await server.server.request(
					{ method: "sampling/createMessage", params },
					CreateMessageResultSchema,
					{
						relatedRequestId: requestId,
						onprogress: (said) => void progress.push(said.progress),
					},
				);
				return { content: [{ type: "text", text: result.model }] };
			});
			return server;
		},
	});
	const session = await open(fleet, 0);
	const stream = follow(await fleet.call(0, post(tool("sample"), session)));
	await expect.poll(() => stream.messages.length).toBe(1);
	const [ask] = stream.messages;
	const { progressToken: token } = (ask?.params?._meta ?? {}) as { progressToken?: string };
	expect(token).toBe(ask?.id);
	for (const [place, done] of [1, 2, 0].entries()) {
		const params = { progressToken: token, progress: done };
		expect(await status(place, post({ jsonrpc: "2.0", method: "notifications/progress", params }, session))).toBe(202);
		await expect.poll(() => progress.length).toBe(place + 1);
	}
	expect(progress).toEqual([1, 2, 0]);
	const result = { role: "assistant", content: { type: "text", text: "!" }, model: "m" };
	expect(await status(2, post({ jsonrpc: "2.0", id: ask?.id, result }, session))).toBe(202);
	await stream.ended;
	expect(JSON.stringify(stream.messages.at(-1))).toContain('"m"');
});

test("a client says once that it is initialised, or that its roots changed: every server of its session hears it", async () => {
	const heard: string[] = [];
	await start(3, {
		build(place, { session }) {
			const server = buildV2(place, fleet.tools, session);
			server.server.oninitialized = () => void heard.push(`${place} initialized`);
			server.server.setNotificationHandler("notifications/roots/list_changed", () => void heard.push(`${place} roots`));
			return server;
		},
	});
	const opened = await fleet.call(0, hello());
	const session = opened.headers.get("mcp-session-id") ?? "";
	expect(await status(1, post({ jsonrpc: "2.0", method: "notifications/initialized" }, session))).toBe(202);
	await expect.poll(() => heard.toSorted()).toEqual(["0 initialized", "1 initialized"]);
	await status(1, post({ jsonrpc: "2.0", method: "notifications/roots/list_changed" }, session));
	await expect.poll(() => heard.toSorted()).toEqual(["0 initialized", "0 roots", "1 initialized", "1 roots"]);
	await settle();
	expect(heard).toHaveLength(4);
});

test("who is refused a session is refused alone, however many ask for it while it is taken over", async () => {
	const as = (sub: string) => ({ authInfo: { extra: { sub } } });
	await start(2, {
		principal: ({ authInfo }) => authInfo.extra?.sub as string,
		async build(place, { session }) {
			await settle();
			return buildV2(place, fleet.tools, session);
		},
	});
	const session = await open(fleet, 0, undefined, as("ann"));
	const names = ["bob", "ann", "bob", "ann"];
	const calls = await Promise.all(names.map((sub, n) => fleet.call(1, post(tool("where", n), session), as(sub))));
	expect(calls.map((one) => one.status)).toEqual([404, 200, 404, 200]);
	expect((await callTool(fleet, 1, session, "where", as("ann"))).status).toBe(200);
});

test("an initialize that is larger than a session's record is refused as such", async () => {
	await start(1);
	const params = {
		protocolVersion: "2025-11-25",
		capabilities: {},
		clientInfo: { name: "x".repeat(40_000), version: "1" },
	};
	const refused = await fleet.call(0, post({ jsonrpc: "2.0", id: 1, method: "initialize", params }));
	expect(refused.status).toBe(413);
	expect(fleet.handlers[0]?.sessions).toBe(0);
});

test("what a client may ask for badly is answered, and changes nothing of its session", async () => {
	await start(2);
	const session = await open(fleet, 0);
	const ask = async (place: number, method: string, params: object, id: number) => {
		const response = await fleet.call(place, post({ jsonrpc: "2.0", id, method, params }, session));
		return (await response.json()) as { result?: unknown; error?: { code: number; message: string } };
	};
	for (const [n, method] of ["toString", "constructor", "hasOwnProperty"].entries()) {
		expect((await ask(0, method, {}, n + 1)).error?.code).toBe(-32_601);
	}
	const long = `a://${"x".repeat(3_000)}`;
	expect((await ask(0, "resources/subscribe", { uri: long }, 10)).error?.message).toContain("2048 characters");
	expect((await ask(1, "resources/subscribe", { uri: "a://1" }, 11)).result).toEqual({});
	const stream = await fleet.call(1, get(session));
	expect(stream.status).toBe(200);
	await stream.body?.cancel();
});

test("[P6] a session subscribes to as many resources as a stream's filter takes, and hears why no more", async () => {
	await start(1);
	const session = await open(fleet, 0);
	const subscribe = (n: number) => {
		const params = { uri: `a://${n}` };
		return fleet.call(0, post({ jsonrpc: "2.0", id: n, method: "resources/subscribe", params }, session));
	};
	// Many at once are one write of the record; one by one, each would write all of it.
	for (let n = 0; n < MAX_SUBSCRIPTIONS; n += 100) {
		const some = Array.from({ length: 100 }, (_, more) => subscribe(n + more + 1));
		for (const answer of await Promise.all(some)) expect(await answer.text()).toContain('"result"');
	}
	expect(await (await subscribe(MAX_SUBSCRIPTIONS + 1)).text()).toContain(`at most ${MAX_SUBSCRIPTIONS} resources`);
	const stream = follow(await fleet.call(0, get(session)));
	await fleet.fanouts[0]?.notify.resourceUpdated(`a://${MAX_SUBSCRIPTIONS}`);
	await expect.poll(() => stream.messages.length).toBe(1);
});

/** As JSON: what writes it fails where it is nested deeper than there is stack. */
const ANSWERS = {
	large: JSON.stringify("x".repeat(FAKE_CAPABILITIES.maxPayloadBytes)),
	deep: `${"[".repeat(20_000)}${"]".repeat(20_000)}`,
};

test.each([
	["v1", "large", 413],
	["v2", "large", 413],
	["v1", "deep", 400],
	["v2", "deep", 400],
] as const)(
	"an answer that no transport takes to the process that asked, a %s tool's, too %s",
	async (server, how, refusal) => {
		await start(2, { server });
		const session = await open(fleet, 0);
		// v2 asks on the GET stream, v1 on the call's own.
		const heard = follow(await fleet.call(1, get(session)));
		const stream = follow(await fleet.call(0, post(tool("ask"), session)));
		const asks = () => [...heard.messages, ...stream.messages].filter(({ method }) => method === "elicitation/create");
		await expect.poll(() => asks().length).toBe(1);
		const result = { action: "accept", content: { name: "?" } };
		const init = post({ jsonrpc: "2.0", id: asks()[0]?.id, result }, session);
		const answer = await fleet.call(1, { ...init, body: String(init.body).replace('"?"', ANSWERS[how]) });
		expect(answer.status).toBe(refusal);
		if (how === "large") expect(await answer.text()).toContain(String(FAKE_CAPABILITIES.maxPayloadBytes));
		await stream.ended;
		expect(JSON.stringify(stream.messages.at(-1))).toContain("cannot be passed on");
	},
);

test("many that change one session at once all do: subscriptions, and the streams that are opened meanwhile", async () => {
	// Asked and answered by messages, as a real store is: who reads together writes against each other.
	const remote = (store: Store): Store => ({
		...store,
		async read(...args) {
			await settle(1);
			return store.read(...args);
		},
		async write(...args) {
			await settle(1);
			return store.write(...args);
		},
	});
	await start(3, { store: remote });
	const session = await open(fleet, 0);
	const uris = Array.from({ length: 60 }, (_, n) => `a://${n}`);
	const subscribe = (uri: string, n: number) => {
		const message = { jsonrpc: "2.0", id: `s${n}`, method: "resources/subscribe", params: { uri } };
		return fleet.call(n % 3, post(message, session)).then((response) => response.text());
	};
	const listen = async (place: number) => follow(await fleet.call(place, get(session)));
	const [answers, streams] = await Promise.all([Promise.all(uris.map(subscribe)), Promise.all([0, 1, 2].map(listen))]);
	expect(answers.filter((text) => text.includes("error"))).toEqual([]);
	expect(streams.map((stream) => stream.status)).toEqual([200, 200, 200]);
	await expect.poll(() => streams.filter(({ isEnded }) => !isEnded).length).toBe(1);
	const newest = streams.find(({ isEnded }) => !isEnded);
	for (const uri of uris) await fleet.fanouts[0]?.notify.resourceUpdated(uri);
	await expect.poll(() => newest?.messages.map(({ params }) => params?.uri)).toEqual(uris);
});
