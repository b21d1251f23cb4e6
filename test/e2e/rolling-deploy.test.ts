/** Processes of one release are replaced by those of the next, one after the other, under clients that do not pause. */
import { setTimeout as sleep } from "node:timers/promises";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { type Invalidation, keepListening } from "mcp-fanout/client";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type McpFleet, type McpProcess, startMcpFleet } from "../support/mcp-fleet.ts";
import { connectSession, type SessionClient } from "../support/sessions/client.ts";

const SIZE = 3;
const NUMBERS = 10;
let fleet: McpFleet;

beforeAll(async () => {
	const env = { NOTICE_MS: "500" };
	fleet = await startMcpFleet(SIZE, { example: "../test/support/sessions", program: "v2.ts", env });
}, 120_000);
afterAll(() => fleet?.stop());

const portOf = ({ url }: McpProcess) => Number(new URL(url).port);

/** As a balancer does it: no new request goes to one that is not ready. */
async function replace(old: McpProcess, release: string): Promise<McpProcess> {
	const gone = old.proc.stop();
	await expect.poll(async () => (await old.told()).ready, { interval: 20 }).toBe(false);
	fleet.pool.splice(fleet.pool.indexOf(portOf(old)), 1);
	await gone;
	const next = await fleet.launch({ RELEASE: release });
	fleet.pool.push(portOf(next));
	return next;
}

async function listen(heard: Invalidation[], stop: AbortSignal): Promise<Client> {
	const client = new Client({ name: "keeper", version: "1.0.0" }, { versionNegotiation: { mode: "auto" } });
	await client.connect(new StreamableHTTPClientTransport(new URL(fleet.url)));
	const take = async () => {
		for await (const told of keepListening(client, { toolsListChanged: true }, { signal: stop })) heard.push(told);
	};
	const taking = take();
	stop.addEventListener("abort", () => void taking.then(() => client.close()));
	return client;
}

test("[P3] three processes become the next release one by one: no call is lost, no message, and clients hear of new tools", async () => {
	const stop = new AbortController();
	const told: Invalidation[] = [];
	const listener = await listen(told, stop.signal);
	const clients = await Promise.all([
		connectSession("v1", () => fleet.origin),
		connectSession("v2", () => fleet.origin),
	]);
	const [publisher] = clients as [SessionClient, SessionClient];
	const sessions = clients.map(({ session }) => session);
	let isDone = false;
	try {
		expect(await publisher.tools()).not.toContain("added");
		let sent = 0;
		const places = new Set<string>();
		const working = async () => {
			while (!isDone) {
				await publisher.call("publish", { sessions, from: sent, count: NUMBERS });
				sent += NUMBERS;
				for (const client of clients) places.add(await client.call("where"));
				expect((await listener.listTools()).tools.length).toBeGreaterThan(0);
				await sleep(10);
			}
		};
		const work = working();
		// Its failure is the test's, and not only when it is waited for.
		const failed = work.then(() => new Promise<never>(() => {}));
		const reaching = (count: number) =>
			Promise.race([expect.poll(() => places.size, { timeout: 10_000 }).toBe(count), failed]);
		await reaching(SIZE);
		for (const [index, old] of fleet.processes.entries()) {
			await Promise.race([replace(old, "2"), failed]);
			await reaching(SIZE + index + 1);
		}
		await expect.poll(() => clients.map(({ changes }) => changes.count)).toEqual([SIZE, SIZE]);
		isDone = true;
		await work;

		const all = Array.from({ length: sent }, (_, n) => n);
		await expect.poll(() => clients.map(({ heard }) => heard.length)).toEqual([sent, sent]);
		for (const { heard } of clients) expect(heard).toEqual(all);
		for (const client of clients) expect(await client.tools()).toContain("added");
		expect(told.map(({ kind }) => kind)).toContain("tools");
		// A release that can less than clients were told is no match: their sessions are not served there, and live on.
		const less = await fleet.launch({ RELEASE: "less" });
		const elsewhere = await connectSession("v2", () => less.url);
		expect(await elsewhere.call("where")).toBe(new URL(less.url).port);
		await elsewhere.close();
		const headers = { "content-type": "application/json", accept: "application/json, text/event-stream" };
		const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "ping" });
		const asked = await fetch(`${less.url}/mcp`, {
			method: "POST",
			headers: { ...headers, "mcp-session-id": publisher.session },
			body,
		});
		expect(asked.status).toBe(404);
		expect(await publisher.call("where")).not.toBe("");
	} finally {
		isDone = true;
		stop.abort();
		await Promise.all(clients.map((client) => client.close()));
	}
}, 120_000);
