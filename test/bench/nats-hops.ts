/**
 * `npm run bench -- nats-hops`: publish in one process, SSE client of another, a thousand streams, beside the same hops
 * written by hand in the same run, alternated: core without a log, R1 and R3; or only the rows that are named.
 */
import { parseArgs } from "node:util";
import type { NatsOptions } from "../../lambda/layer/src/transports/nats/index.ts";
import { startNatsServers } from "../support/nats.ts";
import { alternate, measureHop, medianMs, PER_SECOND } from "./hops.ts";
import type { Latency } from "./peers.ts";

const MOST = { p50: 1.3, p99: 1.5 } as const;
const MOST_R3_P99_MS = 10;

interface Row {
	readonly name: string;
	readonly nodes: 1 | 3;
	readonly by: "bare" | "hand";
	readonly settings: NatsOptions;
}

const ROWS: readonly Row[] = [
	{ name: "core", nodes: 1, by: "bare", settings: { jetstream: false } },
	{ name: "R1 memory", nodes: 1, by: "hand", settings: { storage: "memory" } },
	{ name: "R3 file", nodes: 3, by: "hand", settings: { storage: "file", replicas: 3 } },
];

async function runRow({ name, nodes, by, settings }: Row, rounds: number): Promise<boolean> {
	const servers = await startNatsServers(nodes);
	const text = JSON.stringify({ servers: servers.urls, ...settings });
	let runs: Record<"bare" | "hand" | "fanout", Latency[]>;
	try {
		runs = await alternate([by, "fanout"] as const, rounds, (kind) => measureHop("nats-hop.ts", kind, text));
	} finally {
		await servers.stop();
	}
	let isMet = true;
	for (const at of ["p50", "p99"] as const) {
		const [hand, fanout] = [medianMs(runs[by], at), medianMs(runs.fanout, at)];
		const ratio = fanout / hand;
		const good = ratio <= MOST[at] && (nodes === 1 || at === "p50" || fanout < MOST_R3_P99_MS);
		isMet &&= good;
		const figures = `by hand ${hand.toFixed(3)} ms, fanout ${fanout.toFixed(3)} ms`;
		console.log(
			`${name.padEnd(10)} ${PER_SECOND}/s, ${at}: ${figures}, ratio ${ratio.toFixed(2)} (at most ${MOST[at]})${good ? "" : " missed"}`,
		);
	}
	return isMet;
}

export async function run(args: readonly string[]): Promise<boolean> {
	const { values, positionals } = parseArgs({
		args: [...args],
		allowPositionals: true,
		options: { rounds: { type: "string", default: "3" } },
	});
	let isMet = true;
	for (const row of ROWS) {
		if (positionals.length > 0 && !positionals.some((name) => row.name.includes(name))) continue;
		isMet = (await runRow(row, Number(values.rounds))) && isMet;
	}
	return isMet;
}
