/** Which GET stream of a session stands, when what ends the others comes late. */
import { McpServer } from "@modelcontextprotocol/server";
import { afterEach, expect, test } from "vitest";
import type { Store } from "../../../../lambda/layer/src/sessions/store.ts";
import { settle } from "../../../support/settle.ts";
import { type FleetOptions, type SessionFleet, startSessions } from "./fleet.ts";
import { callTool, follow, get, note, numbers, open } from "./raw.ts";

let fleet: SessionFleet;
afterEach(() => fleet?.stop());
const start = async (size: number, options?: FleetOptions) => {
	fleet = await startSessions(size, options);
	return fleet;
};
const listen = async (place: number, session: string) => follow(await fleet.call(place, get(session)));
const send = (place: number, session: string, n: number) => fleet.fanouts[place]?.to({ session }).send(note(n));

/** Servers with a tool that ends the session's GET stream, for its client to come back. */
function build(): McpServer {
	const server = new McpServer({ name: "polled", version: "1.0.0" }, { capabilities: { tools: {} } });
	server.registerTool("close", { description: "the GET stream" }, async ({ http }) => {
		http?.closeStandaloneSSE?.();
		return { content: [] };
	});
	return server;
}

test("a server ends the GET stream of its session, wherever that is", async () => {
	await start(2, { build });
	const session = await open(fleet, 0);
	for (const place of [0, 1]) {
		const stream = await listen(place, session);
		await callTool(fleet, 0, session, "close");
		await stream.ended;
	}
});

test("a server that ends the GET stream ends none that is opened after it, however late the fleet is told", async () => {
	await start(2, { build });
	const session = await open(fleet, 0);
	const older = await listen(0, session);
	fleet.broker.faults.refuse = 1;
	await callTool(fleet, 0, session, "close");
	await older.ended;
	const newer = await listen(1, session);
	fleet.broker.faults.refuse = 0;
	await fleet.fanouts[0]?.flush();
	await settle();
	await send(0, session, 1);
	await expect.poll(() => numbers(newer)).toEqual([1]);
});

test("a GET whose client has left takes the place of none that it opened after it", async () => {
	const held: (() => void)[] = [];
	let isSlow = false;
	const slow = (store: Store, place: number): Store => ({
		...store,
		async read(...args) {
			if (place === 0 && isSlow) await new Promise<void>((resolve) => void held.push(resolve));
			return store.read(...args);
		},
	});
	await start(2, { store: slow });
	const session = await open(fleet, 0);
	isSlow = true;
	const leaving = new AbortController();
	const left = fleet.call(0, { ...get(session), signal: leaving.signal });
	await expect.poll(() => held.length).toBe(1);
	leaving.abort();
	const newer = await listen(1, session);
	isSlow = false;
	held[0]?.();
	await left;
	await settle();
	await send(0, session, 1);
	await expect.poll(() => numbers(newer)).toEqual([1]);
});

test("an older GET whose process nobody could tell ends with the next one that is opened there", async () => {
	await start(2);
	const session = await open(fleet, 0);
	const oldest = await listen(0, session);
	fleet.broker.faults.refuse = 1;
	await listen(1, session);
	await expect.poll(() => fleet.errors.map(({ code }) => code)).toEqual(["AllBroadcastersFailed"]);
	fleet.broker.faults.refuse = 0;
	const newest = await listen(0, session);
	await oldest.ended;
	await send(0, session, 1);
	await expect.poll(() => numbers(newest)).toEqual([1]);
	expect(numbers(oldest)).toEqual([]);
});
