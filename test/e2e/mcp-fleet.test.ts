/** examples/node-fleet: three processes behind a proxy that sends each request to the next one. */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { afterAll, beforeAll, expect, test } from "vitest";
import { callMcp } from "../support/mcp-client.ts";
import { type McpFleet, type McpProcess, NODE_FLEET, startMcpFleet } from "../support/mcp-fleet.ts";
import { run } from "../support/proc.ts";
import { ROOT } from "../support/root.ts";

const URIS = Array.from({ length: 10 }, (_, n) => `docs://page-${n}`);
const LISTENERS = 6;
let fleet: McpFleet;

beforeAll(async () => {
	fleet = await startMcpFleet(3);
}, 120_000);
afterAll(() => fleet?.stop());

/** Listens again whenever its stream breaks, as a client of a fleet has to. */
async function keepListening(url: string, heard: string[], stop: AbortSignal): Promise<void> {
	const client = new Client({ name: "keeper", version: "1.0.0" }, { versionNegotiation: { mode: "auto" } });
	await client.connect(new StreamableHTTPClientTransport(new URL(url)));
	client.setNotificationHandler("notifications/resources/updated", ({ params }) => void heard.push(params.uri));
	const subscription = await client.listen({ resourceSubscriptions: [...URIS] });
	const again = async (closed: Promise<string>): Promise<void> => {
		await closed;
		while (!stop.aborted) {
			try {
				const next = await client.listen({ resourceSubscriptions: [...URIS] });
				return await again(next.closed);
			} catch {
				// The proxy still sends one request of three to a process that is gone.
				await sleep(20);
			}
		}
	};
	again(subscription.closed).catch(() => {});
	stop.addEventListener("abort", () => void client.close(), { once: true });
}

const total = async (processes: readonly McpProcess[]) =>
	(await Promise.all(processes.map((one) => one.listens()))).reduce((sum, listens) => sum + listens, 0);

test("[P2] the example's own client: everyone hears an edit, whoever's process made it, and Ann hears Ann's", async () => {
	const output = await run({
		name: "the example's client",
		command: process.execPath,
		args: [join(NODE_FLEET, "client.ts"), fleet.url],
		cwd: ROOT,
		env: fleet.env,
		logFile: join(fleet.dir, "client.log"),
		deadlineMs: 60_000,
	});
	expect(output).toContain("anonymous: docs://handbook");
	expect(output).toContain("ann's laptop: tools");
}, 90_000);

test("[P3] a process killed while changes come: whoever listens again is told of each thing that changed", async () => {
	const stop = new AbortController();
	const heard: string[][] = Array.from({ length: LISTENERS }, () => []);
	await Promise.all(heard.map((list) => keepListening(fleet.url, list, stop.signal)));
	const [killed, drained, last] = fleet.processes as [McpProcess, McpProcess, McpProcess];
	expect(await killed.listens()).toBeGreaterThan(0);
	const caller = await callMcp(`${last.url}/mcp`);
	try {
		const [before, after] = [URIS.slice(0, 5), URIS.slice(5)];
		for (const uri of before) await caller.call("edit", { uri });
		await expect.poll(() => heard.map((list) => new Set(list).size), { timeout: 10_000 }).toEqual(heard.map(() => 5));
		await killed.kill();
		for (const uri of after) await caller.call("edit", { uri });
		await expect.poll(() => heard.map((list) => new Set(list).size), { timeout: 20_000 }).toEqual(heard.map(() => 10));
		await expect.poll(() => total([drained, last]), { timeout: 10_000 }).toBe(LISTENERS);

		// One that goes in good order hands its listens to the others.
		for (const list of heard) list.length = 0;
		const gone = drained.proc.stop();
		await expect.poll(() => last.listens(), { timeout: 20_000 }).toBe(LISTENERS);
		await gone;
		for (const uri of URIS) await caller.call("edit", { uri });
		await expect.poll(() => heard.map((list) => new Set(list).size), { timeout: 10_000 }).toEqual(heard.map(() => 10));
	} finally {
		stop.abort();
		await caller.close();
	}
}, 120_000);
