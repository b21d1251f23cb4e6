/** What keeps the sessions cannot be reached, over real processes: frozen, killed, or away alone. All of it heals. */
import { afterEach, expect, test } from "vitest";
import { type McpFleet, type McpFleetOptions, type McpProcess, startMcpFleet } from "../support/mcp-fleet.ts";
import { startNatsServers } from "../support/nats.ts";
import { type Caller, callerOf, heardBy } from "../support/sessions/raw.ts";
import { startValkeyServer } from "../support/valkey.ts";
import { hello } from "../unit/mcp/session/fleet.ts";

/** Deadline of a call to the registry, twice, and what a busy machine adds: nothing may wait for the outage's end. */
const BOUND_MS = 8_000;
const COUNT = 20;

interface Outage {
	readonly options: McpFleetOptions;
	away(): void | Promise<void>;
	back(): void | Promise<void>;
	/** Whether messages flow meanwhile. */
	readonly flows: boolean;
	stop(): Promise<unknown>;
}

const PROGRAM = { example: "../test/support/sessions", program: "v2.ts" };
const OUTAGES: Readonly<Record<string, () => Promise<Outage>>> = {
	async "NATS hangs"() {
		const { nodes, urls, stop } = await startNatsServers();
		const [node] = nodes;
		const options = { ...PROGRAM, brokerUrl: urls[0] as string };
		return { options, away: () => node?.freeze(), back: () => node?.thaw(), flows: false, stop };
	},
	async "NATS is killed, and comes back with its files"() {
		const { nodes, urls, stop } = await startNatsServers();
		const [node] = nodes;
		const options = { ...PROGRAM, brokerUrl: urls[0] as string };
		return { options, away: () => node?.kill(), back: () => node?.start(), flows: false, stop };
	},
	async "a registry of its own is killed, and comes back with its files"() {
		const valkey = await startValkeyServer({ args: ["--appendonly", "yes", "--appendfsync", "always"] });
		const options = { ...PROGRAM, env: { REGISTRY_URL: valkey.url } };
		return { options, away: () => valkey.kill(), back: () => valkey.start(), flows: true, stop: () => valkey.stop() };
	},
};

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
	for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(outage: Outage): Promise<McpFleet> {
	const fleet = await startMcpFleet(2, outage.options);
	cleanups.push(() => fleet.stop());
	return fleet;
}

const publish = (caller: Caller, session: string, from: number, to = session) =>
	caller.call(session, "publish", { sessions: [to], from, count: COUNT });
const numbers = (...starts: number[]) => starts.flatMap((from) => Array.from({ length: COUNT }, (_, n) => from + n));

for (const [name, begin] of Object.entries(OUTAGES)) {
	test(`[P7] ${name}: what runs goes on, the rest is asked to come again, and all heals`, async () => {
		const outage = await begin();
		cleanups.push(() => outage.stop());
		const [a, b] = (await start(outage)).processes.map((one: McpProcess) => callerOf(one)) as [Caller, Caller];
		const session = await a.open();
		const older = await a.listen(session);
		await publish(a, session, 0);
		await expect.poll(() => heardBy(older)).toEqual(numbers(0));

		await outage.away();
		// All at once: what one waits for must not be what the next waits for.
		const asked = await Promise.all([
			a.call(session, "where"),
			b.call(session, "where"),
			a.send(hello()),
			b.remove(session),
		]);
		expect(asked.map(({ status }) => status)).toEqual([200, 503, 503, 503]);
		expect(asked.slice(1).map(({ headers }) => headers.get("retry-after"))).toEqual(["1", "1", "1"]);
		expect(asked.filter(({ ms }) => ms > BOUND_MS).map(({ ms }) => ms)).toEqual([]);
		expect(older.isEnded).toBe(false);
		// The process that knows the session gives it a new stream.
		const stream = await a.listen(session, older.frames.findLast(({ id }) => id !== undefined)?.id);
		expect(stream.status).toBe(200);
		// Sent on by a stream that ends: after two refusals its client would never come back.
		const sent = await b.listen(session);
		await expect.poll(() => sent.isEnded).toBe(true);
		expect([sent.status, sent.retry, heardBy(sent)]).toEqual([200, "1000", []]);
		await expect.poll(() => older.isEnded).toBe(true);
		if (outage.flows) {
			await publish(a, session, COUNT);
			await expect.poll(() => heardBy(stream)).toEqual(numbers(COUNT));
		}

		await outage.back();
		await expect.poll(async () => (await b.call(session, "where")).status).toBe(200);
		// To nobody, for it may fail and be tried again.
		await expect.poll(async () => (await publish(a, session, 0, "nobody")).text).toContain("published");
		expect((await publish(a, session, 2 * COUNT)).text).toContain("published");
		const after = outage.flows ? numbers(COUNT, 2 * COUNT) : numbers(2 * COUNT);
		await expect.poll(() => heardBy(stream)).toEqual(after);
		const another = await b.open();
		expect((await a.call(another, "where")).status).toBe(200);
		const newest = await b.listen(session, stream.frames.findLast(({ id }) => id !== undefined)?.id);
		await expect.poll(() => stream.isEnded).toBe(true);
		await publish(b, session, 3 * COUNT);
		await expect.poll(() => heardBy(newest)).toEqual(numbers(3 * COUNT));
		expect((await a.remove(session)).status).toBe(200);
		// Another process hears of it by the broker, which the answer need not wait for.
		await expect.poll(async () => (await b.call(session, "where")).status).toBe(404);
		await expect.poll(() => newest.isEnded).toBe(true);
	}, 120_000);
}
