/** examples/lambda as deployed to the emulator: what it holds, what it hears, and what stays open after it. */
import { join } from "node:path";
import { EventBridgeClient, PutEventsCommand } from "@aws-sdk/client-eventbridge";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { type Invalidation, keepListening } from "mcp-fanout/client";
import { afterAll, beforeAll, test } from "vitest";
import type { Cell } from "../support/cell.ts";
import { type Cells, openCells } from "../support/cells.ts";
import { PREFIX } from "../support/deploy.ts";
import { type DeployedExample, deployExample } from "../support/lambda/example.ts";
import type { LambdaFunction } from "../support/lambda/function.ts";
import { callMcp } from "../support/mcp-client.ts";
import { run } from "../support/proc.ts";
import { CHILD_PATH, ROOT } from "../support/root.ts";

const INVOCATIONS = 200;
const ARRIVAL_MS = 30_000;
let cells: Cells;
let cell: Cell;
let example: DeployedExample;
const cleanups: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
	cells = await openCells();
	cleanups.push(() => cells.close());
	cell = cells.cells[0] as Cell;
	example = await deployExample(cells, cell);
}, 300_000);

afterAll(async () => {
	for (const cleanup of cleanups.reverse()) await cleanup();
});

async function start(name: string, timeoutMs: number): Promise<LambdaFunction> {
	const fn = await example.start(name, timeoutMs);
	cleanups.push(() => fn.stop());
	return fn;
}

const socketsOf = ({ environments }: LambdaFunction) => environments.map((environment) => environment.sockets());

/** Resolves to how many events were refused. */
async function publishEvent(uri: string): Promise<number | undefined> {
	const { AWS_ACCESS_KEY_ID: accessKeyId = "", AWS_SECRET_ACCESS_KEY: secretAccessKey = "" } = cells.emulator.env;
	const credentials = { accessKeyId, secretAccessKey };
	const client = new EventBridgeClient({ region: cell.region, endpoint: cells.emulator.endpoint, credentials });
	const Detail = JSON.stringify({ all: true, method: "notifications/resources/updated", params: { uri } });
	const entry = { EventBusName: `${PREFIX}-bus`, Source: "mcp.framework", DetailType: "Session Notification", Detail };
	const { FailedEntryCount } = await client.send(new PutEventsCommand({ Entries: [entry] }));
	client.destroy();
	return FailedEntryCount;
}

// Each has functions of its own, and waits most of the time.
const beside = { concurrent: true, timeout: 180_000 };

test("the example's own client: an edit in one environment reaches a listen in another", beside, async ({ expect }) => {
	const fn = await start("example-client", 30_000);
	const output = await run({
		name: "the example's client",
		command: process.execPath,
		args: [join(ROOT, "examples", "lambda", "client.ts"), `${fn.url}/mcp`],
		cwd: ROOT,
		env: { PATH: CHILD_PATH, NODE_OPTIONS: "--conditions=mcp-fanout-source" },
		logFile: join(cells.emulator.dir, "example-client-output.log"),
		deadlineMs: 60_000,
	});
	expect(output).toContain("the listener was told: docs://handbook changed");
	expect(output).toContain("the subscriber of a session was told, too");
	expect(fn.environments.length).toBeGreaterThan(1);
});

test(
	"[P3] a held listen hears what another function and EventBridge publish, and goes on after its lease",
	beside,
	async ({ expect }) => {
		const fn = await start("example-listener", 10_000);
		const client = new Client({ name: "listener", version: "1.0.0" }, { versionNegotiation: { mode: "auto" } });
		await client.connect(new StreamableHTTPClientTransport(new URL(`${fn.url}/mcp`)));
		const URIS = ["docs://by-function", "docs://by-event", "docs://after-the-lease"] as const;
		const heard: Invalidation[] = [];
		let opens = 0;
		const onEvent = ({ type }: { type: string }) => {
			if (type === "open") opens += 1;
		};
		const listening = keepListening(client, { resourceSubscriptions: [...URIS] }, { onEvent });
		const take = async () => {
			for await (const invalidation of listening) heard.push(invalidation);
		};
		const taking = take();
		const told = (uri: string) => heard.filter((one) => one.uri === uri && one.cause === "changed").length;
		await expect.poll(() => opens, { timeout: ARRIVAL_MS }).toBe(1);
		expect(Math.max(...socketsOf(fn))).toBeGreaterThan(0);

		const other = await callMcp(example.url);
		await other.call("edit", { uri: URIS[0] });
		await expect.poll(() => told(URIS[0]), { timeout: ARRIVAL_MS }).toBeGreaterThan(0);
		expect(await publishEvent(URIS[1])).toBe(0);
		await expect.poll(() => told(URIS[1]), { timeout: ARRIVAL_MS }).toBeGreaterThan(0);

		await expect.poll(() => opens, { timeout: ARRIVAL_MS }).toBeGreaterThan(1);
		await other.call("edit", { uri: URIS[2] });
		await expect.poll(() => told(URIS[2]), { timeout: ARRIVAL_MS }).toBeGreaterThan(0);
		await other.close();
		listening.close();
		await taking;
		await client.close();
		await fn.idle();
		expect(socketsOf(fn).every((count) => count === 0)).toBe(true);
	},
);

// Last: all of it goes by the one lane that the others listen to.
test(`[P9] ${INVOCATIONS} invocations that publish and hold no stream leave no socket open, each one`, {
	timeout: 180_000,
}, async ({ expect }) => {
	const fn = await start("example-publisher", 30_000);
	const caller = await callMcp(`${fn.url}/mcp`);
	const open: number[][] = [];
	for (let n = 0; n < INVOCATIONS; n += 1) {
		expect(await caller.call("edit", { uri: "docs://quiet" })).toMatch(/^aws/);
		await fn.idle();
		open.push(socketsOf(fn));
	}
	await caller.close();
	expect(open.filter((sockets) => sockets.some((count) => count > 0))).toEqual([]);
	expect(fn.environments.length).toBeLessThanOrEqual(3);
});
