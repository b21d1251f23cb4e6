/**
 * `npm run bench -- redis`: publish in one process, client of another, on one real server, beside the same hops written by
 * hand and beside socket.io with its redis-streams adapter, alternated in the same run (redis-hop.ts says what each does);
 * then resumes out of a full log, and a listener that is cut with ten thousand channels.
 */
import { parseArgs } from "node:util";
import { systemClock } from "../../lambda/layer/src/core/clock.ts";
import { createRedisTransport } from "../../lambda/layer/src/transports/redis/index.ts";
import { startValkeyServer } from "../support/valkey.ts";
import { alternate, measureHop, medianMs, PER_SECOND } from "./hops.ts";
import { ids, judgeResumes, measureResumes } from "./resumes.ts";

const KINDS = ["bare", "hand", "socket.io", "fanout"] as const;
const MOST = { p50: 1.3, p99: 1.5 } as const;

async function runHops(url: string, rounds: number): Promise<boolean> {
	const runs = await alternate(KINDS, rounds, (kind) => measureHop("redis-hop.ts", kind, url));
	let isMet = true;
	for (const at of ["p50", "p99"] as const) {
		const [bare, hand, other, ours] = KINDS.map((kind) => medianMs(runs[kind], at)) as [number, number, number, number];
		const isNear = ours <= hand * MOST[at];
		const isAhead = ours <= other;
		isMet &&= isNear && isAhead;
		console.log(
			`publish → client of another process, ${PER_SECOND}/s, ${at}: by hand ${hand.toFixed(3)} ms (without a log ${bare.toFixed(3)}), ` +
				`fanout ${ours.toFixed(3)} ms, ratio ${(ours / hand).toFixed(2)} (at most ${MOST[at]})${isNear ? "" : " missed"}; ` +
				`socket.io ${other.toFixed(3)} ms${isAhead ? "" : " missed"}`,
		);
	}
	return isMet;
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
		for (const missed of values.big ? [10, 100] : [10]) {
			await server.admin.flushall();
			const prefix = `bench${missed}`;
			const figures = await measureResumes({
				create: () =>
					createRedisTransport({ url: server.url, prefix }, { clock: systemClock, ids, instanceId: ids.next() }),
				async cut() {
					await server.admin.call("CLIENT", "KILL", "TYPE", "pubsub");
				},
				...{ sessions, missed, single: 1_000, together: 1_000 },
			});
			isMet = judgeResumes(figures, { sessions, missed }) && isMet;
		}
		return isMet;
	} finally {
		await server.stop();
	}
}
