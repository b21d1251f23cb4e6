/**
 * Sessions of the 2025 era on functions: servers and clients of the SDK's v1 and v2, the registry in DynamoDB, and each
 * request of a client at whichever function the test says.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { createFanout } from "mcp-fanout";
import { createSessionHandler } from "mcp-fanout/mcp";
import { afterAll, beforeAll, describe, test } from "vitest";
import type { Cell } from "../support/cell.ts";
import { type Cells, openCells } from "../support/cells.ts";
import type { LambdaFunction } from "../support/lambda/function.ts";
import { bundleSessionServer, startSessionFunction } from "../support/lambda/session-functions.ts";
import { buildV2 } from "../support/sessions/build-v2.ts";
import { connectSession, type SessionClient, type Version } from "../support/sessions/client.ts";

const VERSIONS: readonly Version[] = ["v1", "v2"];
const ARRIVAL_MS = 30_000;
const CALLS = 10;
/** Of which two seconds are kept free at the end. */
const TIMEOUT_MS = 6_000;
let cells: Cells;
let taskRoot: string;
const cleanups: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
	cells = await openCells();
	cleanups.push(() => cells.close());
	taskRoot = await bundleSessionServer(cells);
}, 300_000);
afterAll(async () => {
	for (const cleanup of cleanups.reverse()) await cleanup();
});

const socketsOf = ({ environments }: LambdaFunction) => environments.map((environment) => environment.sockets());
const quiet = async (fn: LambdaFunction) => {
	await fn.idle();
	return socketsOf(fn).every((sockets) => sockets === 0);
};
const methodIn = ({ body }: RequestInit): string | undefined =>
	typeof body === "string" ? (JSON.parse(body) as { method?: string }).method : undefined;
const HEADERS = { "content-type": "application/json", accept: "application/json, text/event-stream" };
/** Of the answer to the session's own request at a function. */
const statusAt = async ({ url }: LambdaFunction, session: string, init: RequestInit): Promise<number> => {
	const response = await fetch(`${url}/mcp`, { ...init, headers: { ...HEADERS, "mcp-session-id": session } });
	await response.arrayBuffer();
	return response.status;
};
const INFO = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "raw", version: "1.0.0" } };
const HELLO = {
	method: "POST",
	body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize", params: INFO }),
};
const PING = { method: "POST", body: JSON.stringify({ jsonrpc: "2.0", id: "ping", method: "ping" }) };

/** Of one version's functions, which each test asks how many sockets they hold. */
const inTurn = { concurrent: false, timeout: 120_000 };

// Both wait for leases most of the time, and share nothing but the emulator.
describe.each(VERSIONS)("%s servers", { concurrent: true }, (server) => {
	/** Opens sessions and takes what is told of them; runs calls; holds GET streams. */
	let [door, calls, gets]: LambdaFunction[] = [];
	const [atDoor, atCalls, atGets] = [
		() => door as LambdaFunction,
		() => calls as LambdaFunction,
		() => gets as LambdaFunction,
	];

	beforeAll(async () => {
		const start = async (name: string, timeoutMs: number) => {
			const options = { taskRoot, name: `sessions-${server}-${name}`, version: server, timeoutMs };
			const fn = await startSessionFunction(cells, cells.cells[0] as Cell, options);
			cleanups.push(() => fn.stop());
			return fn;
		};
		[door, calls, gets] = await Promise.all([
			start("door", 30_000),
			start("calls", TIMEOUT_MS),
			start("gets", TIMEOUT_MS),
		]);
	});

	const connect = (client: Version, onGet?: () => void): Promise<SessionClient> =>
		connectSession(client, (init) => {
			if (init.method === "GET") onGet?.();
			if (init.method === "GET") return atGets().url;
			return (methodIn(init) === "tools/call" ? atCalls() : atDoor()).url;
		});

	test.for(VERSIONS)(
		"[P3] %s clients: opened at one function, called at another, asked by it and answered through the first",
		inTurn,
		async (client, { expect }) => {
			const one = await connect(client);
			await expect.poll(() => Math.max(0, ...socketsOf(atGets())), { timeout: ARRIVAL_MS }).toBeGreaterThan(0);
			expect(await one.call("ask")).toMatch(new RegExp(`^sessions-${server}-calls [1-9].*"ann"`));
			expect(one.asked.count).toBe(1);
			await one.call("publish", { sessions: [one.session], from: 0, count: 20 });
			await expect.poll(() => one.heard.length, { timeout: ARRIVAL_MS }).toBe(20);
			expect(one.heard).toEqual(Array.from({ length: 20 }, (_, n) => n));
			await one.close();
		},
	);

	test("[P9] a plain call follows nothing, and leaves no socket open", inTurn, async ({ expect }) => {
		const one = await connect("v2");
		for (let n = 0; n < CALLS; n += 1) {
			expect(await one.call("where")).toBe(`sessions-${server}-calls 0`);
			expect([await quiet(atCalls()), await quiet(atDoor())]).toEqual([true, true]);
		}
		await one.close();
	});

	test("[P3] a GET stream goes on over its leases: in order, none lost, none twice", inTurn, async ({ expect }) => {
		let opens = 0;
		const one = await connect("v2", () => {
			opens += 1;
		});
		let sent = 0;
		for (; opens < 3; sent += 3) {
			await one.call("publish", { sessions: [one.session], from: sent, count: 3 });
			await sleep(100);
		}
		await expect.poll(() => one.heard.length, { timeout: ARRIVAL_MS }).toBe(sent);
		expect(one.heard).toEqual(Array.from({ length: sent }, (_, n) => n));
		await one.close();
	});

	test(
		"a session that one function ends is gone at all of them, and so is its GET stream",
		inTurn,
		async ({ expect }) => {
			const one = await connect("v2");
			await expect.poll(() => Math.max(0, ...socketsOf(atGets())), { timeout: ARRIVAL_MS }).toBeGreaterThan(0);
			expect(await one.call("where")).toContain("calls");
			expect(await statusAt(atCalls(), one.session, { method: "DELETE" })).toBe(200);
			for (const fn of [atDoor(), atCalls(), atGets()]) expect(await statusAt(fn, one.session, PING)).toBe(404);
			await one.close();
			// Its client may have come back once more in this moment.
			await expect.poll(() => quiet(atGets()), { timeout: ARRIVAL_MS }).toBe(true);
		},
	);

	test(
		"a process that is always there takes the GET stream of a session of functions, and hears of its end",
		inTurn,
		async ({ expect }) => {
			const { emulator } = cells;
			const { region, environment } = cells.cells[0] as Cell;
			const { AWS_ACCESS_KEY_ID } = emulator.env;
			Object.assign(process.env, { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY: "test" });
			const fanout = await createFanout({ follow: true, aws: { region, environment, endpoint: emulator.endpoint } });
			const handler = createSessionHandler(() => buildV2({ place: "process", publish: async () => {} }), { fanout });
			const opened = await fetch(`${atDoor().url}/mcp`, { ...HELLO, headers: HEADERS });
			const session = opened.headers.get("mcp-session-id") ?? "";
			await opened.arrayBuffer();
			const headers = { ...HEADERS, "mcp-session-id": session };
			const stream = await handler.fetch(new Request("http://localhost/mcp", { headers }));
			const publisher = await connect("v2");
			await publisher.call("publish", { sessions: [session], from: 7, count: 1 });
			const body = (stream.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream());
			let text = "";
			for await (const chunk of body) {
				const before = text;
				text += chunk;
				if (before.includes('"n":7') || !text.includes('"n":7')) continue;
				expect(await statusAt(atCalls(), session, { method: "DELETE" })).toBe(200);
			}
			expect(text).toContain('"n":7');
			await publisher.close();
			await handler.close();
			await fanout.close();
		},
	);

	test("a call whose environment dies ends with an error at another function", inTurn, async ({ expect }) => {
		const one = await connect("v2");
		const failed = expect(one.call("wait")).rejects.toThrow("the process that ran the request is gone");
		await expect.poll(one.streams, { timeout: ARRIVAL_MS }).toBe(1);
		await Promise.all(atCalls().environments.map((environment) => !environment.isIdle && environment.stop()));
		await failed;
		await one.close();
	});

	test("a call that outlives its function ends with an error, and its session goes on", inTurn, async ({ expect }) => {
		const one = await connect("v2");
		await expect(one.call("wait")).rejects.toThrow("the time of the process that ran the request is over");
		expect(await quiet(atCalls())).toBe(true);
		expect(await one.call("where")).toBe(`sessions-${server}-calls 0`);
		await one.close();
	});
});
