/** What clients and servers do wrong, over three real processes: the others go on, and nothing stays behind. */
import { connect } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type McpFleet, type McpProcess, startMcpFleet } from "../support/mcp-fleet.ts";
import { type Caller, callerOf, heardBy, setFault } from "../support/sessions/raw.ts";
import { hello } from "../unit/mcp/session/fleet.ts";

let fleet: McpFleet;
let processes: [McpProcess, McpProcess, McpProcess];
let callers: [Caller, Caller, Caller];
const as = (user: string, more: Readonly<Record<string, string>> = {}) =>
	processes.map((one) => callerOf(one, { authorization: `Bearer ${user}`, ...more })) as typeof callers;
const portOf = ({ url }: McpProcess) => new URL(url).port;

beforeAll(async () => {
	fleet = await startMcpFleet(3, { example: "../test/support/sessions", program: "v2.ts" });
	processes = fleet.processes as typeof processes;
	callers = processes.map((one) => callerOf(one)) as typeof callers;
}, 120_000);
afterAll(() => fleet?.stop());

const statuses = (answers: readonly { status: number }[]) => answers.map(({ status }) => status);
const publish = (caller: Caller, session: string, from: number, count: number, more: object = {}) =>
	caller.call(session, "publish", { sessions: [session], from, count, ...more });
const upTo = (count: number) => Array.from({ length: count }, (_, n) => n);

test("[P5] who is authenticated without a name gets nothing of anybody, at any process", async () => {
	const [a] = callers;
	const session = await a.open();
	const before = await Promise.all(processes.map((one) => one.told()));
	for (const nobody of as("nobody")) {
		const answers = [await nobody.send(hello()), await nobody.call(session, "where"), await nobody.remove(session)];
		expect(statuses(answers)).toEqual([403, 403, 403]);
		for (const { text } of answers) expect(text).toContain("without a principal");
		expect((await nobody.listen(session)).status).toBe(403);
	}
	const after = await Promise.all(processes.map((one) => one.told()));
	expect(after.map(({ sessions }) => sessions)).toEqual(before.map(({ sessions }) => sessions));
	expect((await a.call(session, "where")).status).toBe(200);
	await a.remove(session);
});

test("[P5] a session is its principal's, whichever process another asks: calls, streams and its end", async () => {
	const [ann] = as("ann");
	const session = await ann.open();
	const stream = await ann.listen(session);
	for (const stranger of [...as("bob"), ...callers]) {
		expect(statuses([await stranger.call(session, "where"), await stranger.remove(session)])).toEqual([404, 404]);
		expect((await stranger.listen(session)).status).toBe(404);
	}
	expect((await as("ann")[1].call(session, "where")).status).toBe(200);
	expect(stream.isEnded).toBe(false);
	await ann.remove(session);
});

for (const fault of ["throws", "rejects"] as const) {
	test(`[P9] a factory that ${fault} on one process: an error of JSON-RPC there, the others serve, nothing stays`, async () => {
		const [a, b, c] = callers;
		const session = await a.open();
		const before = await processes[2].told();
		await setFault(processes[2], fault);
		try {
			for (let turn = 0; turn < 20; turn += 1) {
				for (const answer of [await c.send(hello()), await c.call(session, "where")]) {
					expect(answer.status).toBe(500);
					expect(JSON.parse(answer.text)).toMatchObject({ jsonrpc: "2.0", error: { code: -32_603 } });
					expect(answer.text).not.toContain("secret");
				}
				expect(statuses([await a.call(session, "where"), await b.call(session, "where")])).toEqual([200, 200]);
			}
			// A GET needs no server: it is served all the same.
			const stream = await c.listen(session);
			await publish(b, session, 0, 10);
			await expect.poll(() => heardBy(stream)).toEqual(upTo(10));
			const after = await processes[2].told();
			expect([after.sessions, after.servers]).toEqual([before.sessions, before.servers]);
		} finally {
			await setFault(processes[2], "none");
		}
		expect((await c.call(session, "where")).text).toContain(portOf(processes[2]));
		expect((await a.remove(session)).status).toBe(200);
		await expect.poll(async () => (await processes[2].told()).servers).toBe(before.servers);
	});
}

test("[P3] two GETs of one session: the newest wins wherever it is, and of two at one moment one stays", async () => {
	const [a, b, c] = callers;
	const session = await a.open();
	const first = await a.listen(session);
	const second = await b.listen(session);
	expect(statuses([first, second])).toEqual([200, 200]);
	await expect.poll(() => first.isEnded).toBe(true);
	await publish(c, session, 0, 20);
	await expect.poll(() => heardBy(second)).toEqual(upTo(20));
	for (let turn = 0; turn < 10; turn += 1) {
		const both = await Promise.all([a.listen(session), c.listen(session)]);
		expect(statuses(both)).toEqual([200, 200]);
		await expect.poll(() => both.filter(({ isEnded }) => isEnded).length).toBe(1);
	}
	expect(second.isEnded).toBe(true);
	await a.remove(session);
	await expect
		.poll(async () => (await Promise.all(processes.map((one) => one.told()))).map((it) => it.streams))
		.toEqual(processes.map(() => 0));
});

test("a DELETE during a call: the caller hears that the session has ended, and all answer 404", async () => {
	const [a, b, c] = callers;
	const session = await a.open();
	const stream = await c.listen(session);
	const call = a.call(session, "wait");
	await expect.poll(async () => (await a.call(session, "where")).status).toBe(200);
	expect((await b.remove(session)).status).toBe(200);
	const statusesNow = async () => statuses(await Promise.all(callers.map((one) => one.call(session, "where"))));
	await expect.poll(statusesNow, { interval: 20, timeout: 5_000 }).toEqual([404, 404, 404]);
	expect((await call).text).toContain("the session has ended");
	await expect.poll(() => stream.isEnded).toBe(true);
});

test("[P5] a Last-Event-ID that is forged, of another session or of another user shows nothing of theirs", async () => {
	const [ann, bob] = [as("ann"), as("bob")];
	const [mine, same, theirs] = [await bob[0].open(), await bob[1].open(), await ann[0].open()];
	const ids: string[] = [];
	for (const [caller, session] of [
		[ann, theirs],
		[bob, same],
	] as const) {
		const stream = await caller[1].listen(session);
		await publish(caller[0], session, 0, 5);
		await expect.poll(() => heardBy(stream)).toEqual(upTo(5));
		ids.push(...stream.frames.flatMap(({ id }) => (id === undefined ? [] : [id])).slice(0, 2));
		await stream.cancel();
		// Also the cursor of a call's stream.
		const posted = await caller[2].call(session, "test_reconnection");
		ids.push(/^id: (p\S+)$/m.exec(posted.text)?.[1] ?? "no cursor");
	}
	expect(ids).not.toContain("no cursor");
	for (const [turn, id] of [...ids, `1${"A".repeat(24)}`, "nonsense", "1".repeat(2_000)].entries()) {
		const forged = await (bob[turn % 3] as Caller).listen(mine, id);
		expect(forged.status).toBe(200);
		// Its first frame says that it stands: what is said before that is said to have been missed.
		if (!id.startsWith("p")) await expect.poll(() => forged.frames.length).toBeGreaterThan(0);
		await publish(bob[2], mine, 100, 1);
		// A call's stream that is not this session's has nothing, and says nothing.
		if (!id.startsWith("p")) await expect.poll(() => heardBy(forged)).toContain(100);
		expect(heardBy(forged).filter((n) => Number(n) < 100)).toEqual([]);
		expect(JSON.stringify(forged.messages)).not.toContain("resumed");
		await forged.cancel();
	}
});

test("[P6] a client that never reads: its process holds no more for it, and lets it go; others hear everything", async () => {
	const [a, b] = callers;
	const [stalled, reading] = [await a.open(), await a.open()];
	const port = Number(portOf(processes[1]));
	const socket = connect(port, "localhost").pause();
	const head = ["GET /mcp HTTP/1.1", "host: localhost", "accept: text/event-stream", `mcp-session-id: ${stalled}`];
	socket.on("error", () => undefined);
	socket.write(`${head.join("\r\n")}\r\n\r\n`);
	const stream = await b.listen(reading);
	await expect.poll(async () => (await processes[1].told()).streams).toBe(2);
	const { rss: before = 0 } = await processes[1].told();
	let sent = 0;
	while (((await processes[1].told()).streams ?? 0) > 1 && sent < 40_000) {
		await publish(a, stalled, sent, 2_000, { sessions: [stalled, reading], padding: 4_096 });
		sent += 2_000;
	}
	await expect.poll(() => heardBy(stream).length).toBe(sent);
	expect(heardBy(stream)).toEqual(upTo(sent));
	const { streams, rss = 0 } = await processes[1].told();
	expect(streams).toBe(1);
	// What was published is far more than what may be held.
	expect((rss - before) / 2 ** 20).toBeLessThan(200);
	socket.destroy();
	// It had asked for a stream, and may do so again: where it was, or told of what is kept no longer.
	const again = await b.listen(stalled);
	await expect.poll(() => heardBy(again).at(-1), { timeout: 20_000 }).toBe(sent - 1);
	for (const session of [stalled, reading]) await a.remove(session);
}, 90_000);
