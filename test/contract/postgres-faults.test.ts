/** The example of a transport from outside, when its server is killed, hangs, is another one, or forgets. */
import { createFanout, type Fanout } from "mcp-fanout";
import { connectSse } from "mcp-fanout/client";
import { createChannel } from "mcp-fanout/transport";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { createPostgresTransport } from "../../examples/transport-postgres/transport.ts";
import { type PostgresServer, startPostgres } from "../support/postgres.ts";
import { openGate } from "../support/tcp-gate.ts";

let server: PostgresServer;
beforeAll(async () => {
	server = await startPostgres();
});
afterAll(() => server?.stop());

const upTo = (count: number, from = 1) => Array.from({ length: count }, (_, index) => from + index);
const transportOf = (schema: string, connectionString = server.url) =>
	createPostgresTransport({ connection: { connectionString }, schema });

async function fanoutOf(schema: string, url?: string): Promise<Fanout> {
	const fanout = await createFanout({ transports: [transportOf(schema, url)], outbox: {} });
	onTestFinished(() => fanout.close());
	return fanout;
}

const send = (fanout: Fanout, n: number, more: object = {}) =>
	fanout.to({ topic: "a" }).send({ method: "notifications/contract", params: { n, ...more } });

/** A client stream of the topic, and what it was shown and told. */
async function follow(fanout: Fanout): Promise<{ readonly shown: unknown[]; readonly told: string[] }> {
	const shown: unknown[] = [];
	const told: string[] = [];
	const connection = connectSse("http://stream/", {
		fetch: async (url, init) => fanout.response(new Request(url as string, init), { topics: ["a"], all: false }),
		onMessage: ({ message }) => void shown.push((message.params as { n: number }).n),
		onEvent(event) {
			if (event.type === "missing" || event.type === "ended") told.push(event.reason);
		},
	});
	onTestFinished(() => connection.close());
	// Where it begins is known with its first cursor, not with the response.
	await expect.poll(() => connection.lastEventId).toBeDefined();
	return { shown, told };
}

test("[P2] [P3] [P4] [P7] a server that is killed under its publishers: all of it arrives, in order, once, whatever its size", async () => {
	const [a, b] = await Promise.all([fanoutOf("killed"), fanoutOf("killed")]);
	const streams = await Promise.all([follow(a), follow(b)]);
	const sends: Promise<unknown>[] = [];
	for (const n of upTo(30)) {
		// Every third is longer than a notification of PostgreSQL's may be.
		sends.push(send(a, n, n % 3 === 0 ? { padding: "x".repeat(9_000) } : {}));
		if (n === 10) await Promise.all(sends);
		if (n === 15) await server.kill();
	}
	await server.start();
	await Promise.all(sends);
	for (const { shown, told } of streams) {
		await expect.poll(() => shown.length).toBe(30);
		expect([shown, told]).toEqual([upTo(30), []]);
	}
}, 60_000);

test("[P3] [P7] connections that go silent are given up, and nothing is missed", async () => {
	const gate = await openGate(Number(new URL(server.url).port));
	onTestFinished(() => gate.close());
	const behind = server.url.replace(/:\d+\//, `:${gate.port}/`);
	const [a, b] = await Promise.all([fanoutOf("silent"), fanoutOf("silent", behind)]);
	const { shown, told } = await follow(b);
	await send(a, 1);
	await expect.poll(() => shown).toEqual([1]);
	for (const connection of gate.connections) connection.swallow();
	await send(a, 2);
	await expect.poll(() => shown).toEqual([1, 2]);
	await send(b, 3);
	await expect.poll(() => shown).toEqual([1, 2, 3]);
	expect(told).toEqual([]);
}, 60_000);

test("[P3] a standby that was promoted may have another past: streams are told, and go on", async () => {
	const fanout = await fanoutOf("promoted");
	const { shown, told } = await follow(fanout);
	for (const n of upTo(3)) await send(fanout, n);
	await expect.poll(() => shown).toEqual([1, 2, 3]);
	await server.promote();
	await expect.poll(() => told).toEqual(["epoch"]);
	await send(fanout, 4);
	await expect.poll(() => shown).toEqual([1, 2, 3, 4]);
}, 60_000);

test("[P3] what is swept is told as retention, and what is younger stays whole", async () => {
	const transport = transportOf("swept");
	onTestFinished(() => transport.close());
	const { signal } = new AbortController();
	await transport.start({ report() {} }, signal);
	const channel = createChannel("topic", "a");
	const fanout = await fanoutOf("swept");
	for (const n of upTo(4)) await send(fanout, n);
	await server.run("UPDATE swept.log SET at = at - interval '2 days' WHERE place <= 2");
	// The most that one call removes is one, and those of the same time: the second finds no more.
	const sweep = () => server.run("SELECT set_config('search_path', 'swept', false), swept.sweep('1 day', 1) AS more");
	expect([await sweep(), await sweep()]).toMatchObject([[{ more: true }], [{ more: false }]]);
	const [end] = await transport.ends([channel], signal);
	const epoch = end?.epoch as string;
	expect(end?.offset).toBe(4);
	const verdicts: [number, string, number][] = [];
	const asks = [0, 1, 2, 3, 4].map((offset) => ({ channel, from: { epoch, offset }, limit: 9 }));
	for await (const { verdict, entries } of transport.read(asks, signal))
		verdicts.push([verdicts.length, verdict, entries.length]);
	expect(verdicts).toEqual([
		[0, "retention", 2],
		[1, "retention", 2],
		[2, "whole", 2],
		[3, "whole", 1],
		[4, "whole", 0],
	]);
}, 60_000);

test("[P3] [P5] what somebody wrote into the log, and is another channel's, is told as a gap in its place", async () => {
	const fanout = await fanoutOf("forged");
	for (const n of upTo(2)) await send(fanout, n);
	await server.run("UPDATE forged.log SET body = replace(body, 'topic:a', 'topic:b') WHERE place = 1");
	const transport = transportOf("forged");
	onTestFinished(() => transport.close());
	const reported: string[] = [];
	const { signal } = new AbortController();
	await transport.start({ report: (event) => void reported.push(event.kind) }, signal);
	const from = { sinceMs: 0 };
	for await (const { entries } of transport.read([{ channel: createChannel("topic", "a"), from, limit: 9 }], signal)) {
		expect(entries.map(({ position, envelope }) => [position.offset, envelope !== undefined])).toEqual([
			[1, false],
			[2, true],
		]);
	}
	expect(reported).toEqual(["error"]);
}, 60_000);

test("many instances that start at once on an empty database make its tables once", async () => {
	const fanouts = await Promise.all(upTo(6).map(() => fanoutOf("begun")));
	const receipts = await Promise.all(fanouts.map((fanout, n) => send(fanout, n)));
	expect(receipts.flatMap(({ accepted }) => accepted.map(({ lane, durability }) => `${lane} ${durability}`))).toEqual(
		upTo(6).map(() => "postgres disk"),
	);
}, 60_000);
