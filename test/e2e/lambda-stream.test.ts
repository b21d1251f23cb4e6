/** The function behind GET /events: an end client with a ticket, over several leases, each on another invocation. */
import { GetSecretValueCommand } from "@aws-sdk/client-secrets-manager";
import { createChannel, createFanout } from "mcp-fanout";
import { connectSse, type SseClientEvent } from "mcp-fanout/client";
import { ENV } from "mcp-fanout/env-names";
import { authorize } from "mcp-fanout/transports/aws/cell";
import { afterAll, beforeAll, expect, test } from "vitest";
import { systemClock } from "../../lambda/layer/src/core/clock.ts";
import { createTicketKey, issueTicket, type TicketKey } from "../../lambda/layer/src/transports/aws/ticket.ts";
import { type Cell, createCellClients, functionOf } from "../support/cell.ts";
import { type Cells, openCells } from "../support/cells.ts";
import { startDeployed } from "../support/lambda/deployed.ts";
import type { EventOf, LambdaFunction } from "../support/lambda/function.ts";

const LEASES = 2;
const TIMEOUT_MS = 6_000;
let cells: Cells;
let cell: Cell;
let key: TicketKey;
let fn: LambdaFunction;
const cleanups: (() => Promise<unknown>)[] = [];

/** What the REST API makes of a request: the authorizer's decision, then an event of format 1.0 with its context. */
const restEvent: EventOf = async (req) => {
	const ports = {
		namespace: cell.environment[ENV.namespace],
		clock: systemClock,
		report: () => {},
		key: async () => key,
	};
	const headers = req.headers as Record<string, string>;
	const { context } = await authorize(ports, headers, "arn:aws:execute-api:us-east-1:000000000000:api/live/GET/events");
	if (context === undefined) return undefined;
	return { httpMethod: req.method, path: "/events", headers, body: null, requestContext: { authorizer: context } };
};

beforeAll(async () => {
	cells = await openCells();
	cleanups.push(() => cells.close());
	cell = cells.cells[0] as Cell;
	const { emulator } = cells;
	const clients = createCellClients(cell.region, emulator.env);
	const secret = new GetSecretValueCommand({ SecretId: cell.environment[ENV.ticketSecret] });
	key = createTicketKey((await clients.secrets.send(secret)).SecretString as string);
	const functionName = await functionOf(clients.lambda, "stream");
	clients.destroy();
	fn = await startDeployed({ emulator, cell, functionName, name: "stream", timeoutMs: TIMEOUT_MS, eventOf: restEvent });
	cleanups.push(() => fn.stop());
}, 300_000);

afterAll(async () => {
	for (const cleanup of cleanups.reverse()) await cleanup();
});

test("without a valid ticket nothing is asked of the function", async () => {
	const accept = { accept: "text/event-stream" };
	for (const headers of [accept, { ...accept, authorization: "Bearer a.b.c" }]) {
		expect((await fetch(fn.url, { headers })).status).toBe(403);
	}
	expect(fn.environments).toHaveLength(0);
});

test("[P3] a stream ends with its ticket, and says so", async () => {
	const namespace = cell.environment[ENV.namespace];
	const channels = [createChannel("topic", "expiring", { namespace }).key];
	const ticket = () => issueTicket(key, { namespace, tenant: "default", channels, ttlSeconds: 2 }, systemClock);
	const reasons: string[] = [];
	const client = connectSse(fn.url, {
		headers: async () => ({ Authorization: `Bearer ${await ticket()}` }),
		onEvent: (event) => void (event.type === "ended" && reasons.push(event.reason)),
		onMessage: () => undefined,
	});
	await expect.poll(() => reasons, { timeout: 30_000 }).toContain("expired");
	client.close();
	await fn.idle();
}, 60_000);

test("[P3] [P4] every message of a session arrives in order and once, over several leases", async () => {
	const namespace = cell.environment[ENV.namespace];
	const session = `lambda-stream-${process.pid}`;
	const channels = [createChannel("session", session, { namespace }).key];
	const ticket = () => issueTicket(key, { namespace, tenant: "default", channels }, systemClock);
	const { endpoint, env } = cells.emulator;
	Object.assign(process.env, { AWS_ACCESS_KEY_ID: env.AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY: "test" });
	const { region, environment } = cell;
	const fanout = await createFanout({ follow: false, aws: { region, environment, endpoint } });
	cleanups.push(() => fanout.close());

	const events: SseClientEvent[] = [];
	const heard: unknown[] = [];
	const client = connectSse(fn.url, {
		headers: async () => ({ Authorization: `Bearer ${await ticket()}` }),
		onEvent: (event) => void events.push(event),
		onMessage: ({ message }) => void heard.push((message.params as { data: unknown }).data),
		backoff: { baseMs: 50, capMs: 500 },
	});
	const count = (type: SseClientEvent["type"]) => events.filter((event) => event.type === type).length;
	await expect.poll(() => count("open"), { timeout: 30_000 }).toBe(1);
	// A cursor says from where on a stream is whole: the first one comes when the channel is followed.
	await expect.poll(() => client.lastEventId, { timeout: 30_000 }).toBeDefined();
	expect(fn.environments[0]?.sockets()).toBeGreaterThan(0);

	let sent = 0;
	while (count("ended") < LEASES || sent < 50) {
		await fanout.to({ session }).send({ method: "notifications/message", params: { level: "info", data: sent } });
		sent += 1;
		await new Promise((resolve) => setTimeout(resolve, 50));
	}
	await expect.poll(() => heard.length, { timeout: 30_000 }).toBe(sent);
	expect(heard).toEqual(Array.from({ length: sent }, (_, n) => n));
	expect(events.filter(({ type }) => type === "missing")).toEqual([]);
	expect(events.find((event) => event.type === "ended")).toEqual({ type: "ended", reason: "shutdown" });

	client.close();
	await fn.idle();
	expect(fn.environments.every((environment) => environment.sockets() === 0)).toBe(true);
}, 180_000);
