/**
 * The redis transport on one real server: publish in one process, SSE client of another, beside the same hops written by
 * hand in the same run, alternated; then resumes out of a full log, and a listener that is cut with ten thousand channels.
 */
import { parseArgs } from "node:util";
import { startValkeyServer } from "../support/valkey.ts";
import { type Latency, startClient, startServer } from "./peers.ts";
import type { HopOrder } from "./redis-hop.ts";
import { measureResumes } from "./redis-resume.ts";

type Kind = "bare" | "hand" | "fanout";

const STREAMS = 1_000;
const MESSAGES = 5_000;
const WARM_UP = 2_000;
const PER_SECOND = 1_000;
const MOST_P50 = 1.3;
const MOST_P99 = 1.5;
const MOST_ONE_P99_MS = 5;
const MOST_THOUSAND_MS = 2_000;
const MOST_RECONNECT_MS = 3_000;

async function measureHop(kind: Kind, url: string): Promise<Latency> {
	const hop = (role: string) => startServer<HopOrder, object>("redis-hop.ts", [role, kind, url, String(STREAMS)]);
	const [a, b] = await Promise.all([hop("publish"), hop("serve")]);
	const client = await startClient(b.port, STREAMS);
	const send = async (messages: number) => {
		const { received } = await client.expect(messages);
		await a.order({ messages, perSecond: PER_SECOND });
		return received;
	};
	try {
		await send(WARM_UP);
		return await send(MESSAGES);
	} finally {
		for (const peer of [client, a, b]) await peer.stop();
	}
}

function median(values: readonly number[]): number {
	return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

async function runHops(url: string, rounds: number): Promise<boolean> {
	const runs: Record<Kind, Latency[]> = { bare: [], hand: [], fanout: [] };
	const order: readonly Kind[] = ["bare", "hand", "fanout"];
	for (let round = 0; round < rounds; round += 1) {
		for (const kind of round % 2 === 0 ? order : order.toReversed()) {
			const one = await measureHop(kind, url);
			runs[kind].push(one);
			console.log(`${kind.padEnd(6)}  p50 ${(one.p50 / 1e6).toFixed(3)} ms  p99 ${(one.p99 / 1e6).toFixed(3)} ms`);
		}
	}
	let isMet = true;
	for (const [name, most] of [
		["p50", MOST_P50],
		["p99", MOST_P99],
	] as const) {
		const of = (kind: Kind) => median(runs[kind].map((run) => run[name])) / 1e6;
		const [bare, hand, fanout] = [of("bare"), of("hand"), of("fanout")];
		const ratio = fanout / hand;
		isMet &&= ratio <= most;
		console.log(
			`publish → SSE of another process, ${PER_SECOND}/s, ${name}: by hand ${hand.toFixed(3)} ms (without a log ${bare.toFixed(3)}), fanout ${fanout.toFixed(3)} ms, ratio ${ratio.toFixed(2)} (at most ${most})${ratio <= most ? "" : " missed"}`,
		);
	}
	return isMet;
}

function judge(what: string, ms: number, most: number | undefined): boolean {
	const goal = most === undefined ? "" : ` (at most ${most})${ms <= most ? "" : " missed"}`;
	console.log(`${what}: ${ms.toFixed(1)} ms${goal}`);
	return most === undefined || ms <= most;
}

export async function run(args: readonly string[]): Promise<boolean> {
	const { values } = parseArgs({
		args: [...args],
		options: {
			rounds: { type: "string", default: "3" },
			sessions: { type: "string", default: "10000" },
			big: { type: "boolean", default: false },
		},
	});
	const server = await startValkeyServer();
	try {
		let isMet = await runHops(server.url, Number(values.rounds));
		const sessions = Number(values.sessions);
		const sizes = [{ missed: 10, goals: true }, ...(values.big ? [{ missed: 100, goals: false }] : [])];
		for (const { missed, goals } of sizes) {
			await server.admin.flushall();
			const figures = await measureResumes({
				url: server.url,
				prefix: `bench${missed}`,
				sessions,
				missed,
				single: 1_000,
				together: 1_000,
			});
			const events = `${missed} missed among ${sessions * missed}`;
			console.log(`published over ${sessions} channels: ${Math.round(figures.publishedPerSecond)}/s acknowledged`);
			judge(`one session resumes, ${events}, p50`, figures.oneP50, undefined);
			const one = judge(`one session resumes, ${events}, p99`, figures.oneP99, goals ? MOST_ONE_P99_MS : undefined);
			const all = judge(`1000 at once, ${events}, all whole`, figures.thousandMs, goals ? MOST_THOUSAND_MS : undefined);
			const again = judge(
				`listener cut, ${sessions} channels, all whole`,
				figures.reconnectMs,
				goals ? MOST_RECONNECT_MS : undefined,
			);
			isMet = one && all && again && isMet;
		}
		return isMet;
	} finally {
		await server.stop();
	}
}
