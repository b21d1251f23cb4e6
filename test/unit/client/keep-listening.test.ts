/** keepListening against a scripted client: what it yields, when it listens again, and when it stops. */
import { Client } from "@modelcontextprotocol/client";
import { describe, expect, it } from "vitest";
import { type KeepListeningOptions, keepListening, type ListenEvent } from "../../../lambda/layer/src/client/index.ts";
import type { McpClient } from "../../../lambda/layer/src/client/mcp-client.ts";

type Closed = "local" | "graceful" | "remote";
type Handler = (notification: { params: { uri: string } }) => void;

/** Answers each listen by the next step of its script; the last one is repeated. */
function scripted(...script: (Closed | "stay" | Error | object)[]) {
	const handlers = new Map<string, Handler>();
	const asked: { resourceSubscriptions?: string[] }[] = [];
	let step = 0;
	const client: McpClient = {
		async listen(filter, { signal }) {
			asked.push(filter);
			const what = script[Math.min(step++, script.length - 1)];
			if (what instanceof Error) throw what;
			const closed = Promise.withResolvers<Closed>();
			signal.addEventListener("abort", () => closed.resolve("local"));
			if (what === "graceful" || what === "remote") closed.resolve(what);
			const honoredFilter = typeof what === "object" ? what : filter;
			return { honoredFilter, closed: closed.promise, close: async () => closed.resolve("local") };
		},
		setNotificationHandler: (method: string, handler: Handler) => void handlers.set(method, handler),
		removeNotificationHandler: (method) => void handlers.delete(method),
	};
	const updated = (uri: string) => handlers.get("notifications/resources/updated")?.({ params: { uri } });
	const list = (kind: string) => handlers.get(`notifications/${kind}/list_changed`)?.({ params: { uri: "" } });
	return { client, handlers, asked, updated, list };
}

const QUICK = { backoff: { baseMs: 1, capMs: 2 } };
const BOTH = { toolsListChanged: true, resourceSubscriptions: ["a", "b"] };
const httpError = (status: number) => Object.assign(new Error(`status ${status}`), { data: { status }, code: "X" });
const rpcError = (code: number) => Object.assign(new Error(`code ${code}`), { code });

function start(client: McpClient, filter: object = BOTH, more: KeepListeningOptions = {}) {
	const events: ListenEvent[] = [];
	const listening = keepListening(client, filter, { ...QUICK, onEvent: (event) => void events.push(event), ...more });
	const take = async (count: number) => {
		const taken: string[] = [];
		for (let n = 0; n < count; n += 1) {
			const { value } = await listening.next();
			taken.push(value === undefined ? "end" : `${value.uri ?? value.kind} ${value.cause}`);
		}
		return taken;
	};
	return { listening, events, take };
}

describe("keepListening", () => {
	it("takes the SDK's own client", () => {
		const real: McpClient = new Client({ name: "any", version: "1.0.0" });
		expect(keepListening(real, BOTH, { signal: AbortSignal.abort() })).toBeDefined();
	});

	it("yields what the server says, each thing once while nobody takes it", async () => {
		const { client, updated, list } = scripted("stay");
		const { take, listening } = start(client);
		for (const uri of ["a", "b", "a"]) updated(uri);
		list("tools");
		list("tools");
		expect(await take(3)).toEqual(["a changed", "b changed", "tools changed"]);
		updated("a");
		expect(await take(1)).toEqual(["a changed"]);
		listening.close();
		expect(await take(1)).toEqual(["end"]);
	});

	it("yields nothing of a kind that only another loop on the client asked for", async () => {
		const { client, updated, list } = scripted("stay");
		const [tools, pages] = [start(client, { toolsListChanged: true }), start(client, { resourceSubscriptions: ["a"] })];
		list("tools");
		updated("a/b");
		expect(await pages.take(1)).toEqual(["a/b changed"]);
		tools.listening.close();
		pages.listening.close();
		expect(await tools.take(2)).toEqual(["tools changed", "end"]);
		expect(await pages.take(1)).toEqual(["end"]);
	});

	it("[P3] listens again after a drop, and everything that it listens for is then to be read again", async () => {
		const { client, asked } = scripted("remote", "stay");
		const { take, listening, events } = start(client);
		expect(await take(3)).toEqual(["tools missed", "a missed", "b missed"]);
		expect(asked).toEqual([BOTH, BOTH]);
		expect(events.map(({ type }) => type)).toEqual(["open", "lost", "open"]);
		listening.close();
	});

	it("tells after a gap of what the server honours, and of everything at first when asked to", async () => {
		const { client } = scripted({ toolsListChanged: true });
		const { take, listening } = start(client, BOTH, { initial: true });
		expect(await take(1)).toEqual(["tools missed"]);
		listening.close();
		expect(await take(1)).toEqual(["end"]);
	});

	it.each([
		httpError(503),
		httpError(429),
		httpError(408),
		rpcError(-32_603),
		new Error("fetch failed"),
		Object.assign(new Error("no acknowledgement"), { code: "REQUEST_TIMEOUT" }),
	])("tries again when $message", async (error) => {
		const { client, asked, updated } = scripted(error, error, "stay");
		const { take, listening, events } = start(client);
		while (asked.length < 3) await new Promise((resolve) => setTimeout(resolve, 1));
		updated("a");
		expect(await take(1)).toEqual(["a changed"]);
		expect(events.slice(0, 2).map(({ type }) => type)).toEqual(["lost", "lost"]);
		listening.close();
	});

	it.each([
		httpError(401),
		httpError(404),
		httpError(501),
		rpcError(-32_602),
		Object.assign(new Error("Not connected"), { code: "NOT_CONNECTED" }),
		Object.assign(new Error("Unauthorized"), { name: "UnauthorizedError" }),
	])("ends with an error when $message: asking again would get the same answer", async (error) => {
		const { client, asked, handlers } = scripted(error);
		const { listening } = start(client);
		await expect(listening.next()).rejects.toMatchObject({ code: "TransportRefused", cause: error });
		expect(await listening.next()).toEqual({ done: true, value: undefined });
		expect([asked.length, handlers.size]).toEqual([1, 0]);
	});

	it("ends with an error when the server honours nothing", async () => {
		const { listening } = start(scripted({}).client);
		await expect(listening.next()).rejects.toMatchObject({ code: "TransportRefused" });
		expect(() => keepListening(scripted("stay").client, { toolsListChanged: false })).toThrow("names nothing");
	});

	it("ends when the server ends the subscription, or listens again where it is told to", async () => {
		expect(await start(scripted("graceful").client).take(1)).toEqual(["end"]);
		const { take, listening } = start(scripted("graceful", "stay").client, BOTH, { onGraceful: "listen" });
		expect(await take(1)).toEqual(["tools missed"]);
		listening.close();
	});

	it("[P6] keeps a bounded number: beyond it everything is to be read again", async () => {
		const { client, updated } = scripted("stay");
		const { take, listening } = start(client, BOTH, { maxWaiting: 10 });
		for (let n = 0; n < 11; n += 1) updated(`unasked ${n}`);
		expect(await take(3)).toEqual(["tools missed", "a missed", "b missed"]);
		listening.close();
		expect(await take(1)).toEqual(["end"]);
	});

	it("[P9] ends without an error by its signal, by close and by leaving the loop, and gives the handlers back", async () => {
		const { client, handlers } = scripted("stay");
		const stop = new AbortController();
		const first = start(client, BOTH, { signal: stop.signal });
		const second = start(client, { promptsListChanged: true });
		expect(handlers.size).toBe(4);
		const waiting = first.take(1);
		stop.abort();
		expect(await waiting).toEqual(["end"]);
		expect(handlers.size).toBe(4);
		handlers.get("notifications/prompts/list_changed")?.({ params: { uri: "" } });
		for await (const { kind } of second.listening) {
			expect(kind).toBe("prompts");
			break;
		}
		expect(handlers.size).toBe(0);
	});

	it.each([
		["longer from failure to failure", httpError(503), 0, [50, 100, 200, 250]],
		["no longer after listens that stood, as leases of a few seconds do", "remote", 400, [50, 50, 50, 50]],
		["longer after listens that stood for less than the pause", "remote", 100, [50, 100, 200, 250]],
	] as const)("waits with full jitter, %s", async (_how, what, stoodMs, expected) => {
		const waits: number[] = [];
		let now = 0;
		const clock = {
			now: () => 0,
			monotonic: () => (now += stoodMs),
			after: (ms: number, task: () => void) => {
				waits.push(ms);
				setImmediate(task);
				return { cancel() {} };
			},
		};
		const { client, asked } = scripted(what);
		const { listening } = start(client, BOTH, { clock, random: () => 0.5, backoff: { baseMs: 100, capMs: 500 } });
		while (asked.length < 5) await new Promise((resolve) => setImmediate(resolve));
		listening.close();
		expect(waits.slice(0, 4)).toEqual(expected);
	});
});
