/**
 * `npm run bench -- sessions [rounds]`: how long a session's client is without its stream, and a process without the
 * news of its end. Three processes on NATS. The process with the GET stream is killed -9 while messages flow, and the
 * client opens it at another one at once: until the first message that it had not seen (a client of the SDK waits a
 * second of its own first). A session at work everywhere is deleted at one process: until each other one answers 404.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type McpProcess, startMcpFleet } from "../support/mcp-fleet.ts";
import { callerOf, heardBy } from "../support/sessions/raw.ts";

const MAX_MS = 1_000;
const EVERY_MS = 10;
const POLL_MS = 2;

async function killed([a, , c]: readonly McpProcess[], holder: McpProcess): Promise<number> {
	if (a === undefined || c === undefined) throw new Error("three processes");
	const [publisher, other] = [callerOf(a), callerOf(c)];
	const session = await publisher.open();
	const stream = await callerOf(holder).listen(session);
	let isOver = false;
	const publish = async () => {
		for (let n = 0; !isOver; n += 1) {
			await publisher.call(session, "publish", { sessions: [session], from: n, count: 1 });
			await sleep(EVERY_MS);
		}
	};
	const publishing = publish();
	while (heardBy(stream).length < 10) await sleep(POLL_MS);
	const from = performance.now();
	await holder.kill();
	await stream.ended;
	const back = await other.listen(session, stream.frames.findLast(({ id }) => id !== undefined)?.id);
	while (heardBy(back).length === 0) await sleep(POLL_MS);
	const tookMs = performance.now() - from;
	isOver = true;
	await publishing;
	const [last, next] = [heardBy(stream).at(-1), heardBy(back)[0]];
	if (Number(next) !== Number(last) + 1) throw new Error(`heard ${next} after ${last}`);
	await other.remove(session);
	return tookMs;
}

async function deleted(processes: readonly McpProcess[]): Promise<number> {
	const [first, ...others] = processes.map((one) => callerOf(one));
	if (first === undefined) throw new Error("three processes");
	const session = await first.open();
	for (const other of others) await other.call(session, "where");
	const from = performance.now();
	const removing = first.remove(session);
	const gone = others.map(async (other) => {
		while ((await other.call(session, "where")).status !== 404) await sleep(POLL_MS);
		return performance.now() - from;
	});
	await removing;
	return Math.max(...(await Promise.all(gone)));
}

export async function run([given = "10"]: readonly string[]): Promise<boolean> {
	const rounds = Number(given);
	const fleet = await startMcpFleet(3, { example: "../test/support/sessions", program: "v2.ts" });
	const [kills, deletes]: [number[], number[]] = [[], []];
	try {
		for (let round = 0; round < rounds; round += 1) {
			kills.push(await killed(fleet.processes, await fleet.launch()));
			deletes.push(await deleted(fleet.processes));
		}
	} finally {
		await fleet.stop();
	}
	let isMet = true;
	for (const [name, values] of [
		["GET holder killed -9, until the next message comes elsewhere", kills],
		["DELETE, until every other process answers 404", deletes],
	] as const) {
		const sorted = values.toSorted((x, y) => x - y);
		const [middle = Number.NaN, most = Number.NaN] = [sorted[Math.floor(rounds / 2)], sorted.at(-1)];
		const isMissed = !(most <= MAX_MS);
		if (isMissed) isMet = false;
		const figures = `median ${middle.toFixed(0)} ms, longest ${most.toFixed(0)} ms`;
		console.log(`${name}: ${figures} of ${rounds} (at most ${MAX_MS} ms)${isMissed ? " missed" : ""}`);
	}
	return isMet;
}
