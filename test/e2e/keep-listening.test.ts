/** keepListening with the SDK's client, over two processes of examples/node-fleet: one is killed while things change. */
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { type Invalidation, keepListening } from "mcp-fanout/client";
import { afterAll, beforeAll, expect, test } from "vitest";
import { callMcp } from "../support/mcp-client.ts";
import { type McpFleet, type McpProcess, startMcpFleet } from "../support/mcp-fleet.ts";

const LISTENERS = 6;
const ROUNDS = 5;
const URIS = Array.from({ length: 40 }, (_, n) => `docs://page-${n}`);
let fleet: McpFleet;

beforeAll(async () => {
	fleet = await startMcpFleet(2);
}, 120_000);
afterAll(() => fleet?.stop());

interface Listener {
	readonly client: Client;
	readonly heard: Invalidation[];
	opens: number;
	stop(): Promise<void>;
}

async function listen(url: string): Promise<Listener> {
	const client = new Client({ name: "keeper", version: "1.0.0" }, { versionNegotiation: { mode: "auto" } });
	await client.connect(new StreamableHTTPClientTransport(new URL(url)));
	const stop = new AbortController();
	const listener: Listener = {
		client,
		heard: [],
		opens: 0,
		async stop() {
			stop.abort();
			await taking;
			await client.close();
		},
	};
	const listening = keepListening(
		client,
		{ resourceSubscriptions: URIS },
		{
			signal: stop.signal,
			onEvent: ({ type }) => {
				if (type === "open") listener.opens += 1;
			},
		},
	);
	const take = async () => {
		for await (const invalidation of listening) listener.heard.push(invalidation);
	};
	const taking = take();
	await expect.poll(() => listener.opens, { timeout: 10_000 }).toBe(1);
	return listener;
}

test("[P3] kill -9 while things change: everyone is told of every thing that changed, after it changed", async () => {
	const [killed, last] = fleet.processes as [McpProcess, McpProcess];
	const listeners = await Promise.all(Array.from({ length: LISTENERS }, () => listen(fleet.url)));
	const caller = await callMcp(`${last.url}/mcp`);
	try {
		expect(await killed.listens()).toBeGreaterThan(0);
		expect(await last.listens()).toBeGreaterThan(0);
		let isKilled: Promise<void> | undefined;
		/** By URI, what each listener had heard before it changed. */
		const before = new Map<string, readonly number[]>();
		const isTold = ({ heard }: Listener, index: number, uri: string) =>
			heard.slice(before.get(uri)?.[index]).some((told) => told.uri === uri);
		const told = () => listeners.map((each, index) => URIS.filter((uri) => isTold(each, index, uri)).length);
		for (let round = 0; round < ROUNDS; round += 1) {
			for (const [index, uri] of URIS.entries()) {
				// In the middle of a round: some of its changes come before, some while nobody listens, some after.
				if (round === 1 && index === URIS.length / 2) isKilled = killed.kill();
				before.set(
					uri,
					listeners.map(({ heard }) => heard.length),
				);
				await caller.call("edit", { uri });
			}
			await expect.poll(told, { timeout: 20_000 }).toEqual(listeners.map(() => URIS.length));
		}
		await isKilled;
		expect(await last.listens()).toBe(LISTENERS);
		expect(listeners.filter(({ opens }) => opens > 1).length).toBeGreaterThan(0);
	} finally {
		await caller.close();
		await Promise.all(listeners.map((listener) => listener.stop()));
	}
	await expect.poll(() => last.listens(), { timeout: 10_000 }).toBe(0);
}, 120_000);
