/**
 * `npm run bench -- nats-hops`: publish in one process, SSE client of another, a thousand streams, beside the same hops
 * written by hand in the same run, alternated: core without a log, R1 and R3.
 */
import { parseArgs } from "node:util";
import type { NatsOptions } from "../../lambda/layer/src/transports/nats/index.ts";
import { startNatsServers } from "../support/nats.ts";
import type { HopOrder } from "./nats-hop.ts";
import { type Latency, startClient, startServer } from "./peers.ts";

type Kind = "bare" | "hand" | "fanout";

const STREAMS = 1_000;
const MESSAGES = 5_000;
const WARM_UP = 2_000;
const PER_SECOND = 1_000;
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

async function measure(kind: Kind, settings: string): Promise<Latency> {
	const hop = (role: string) => startServer<HopOrder, object>("nats-hop.ts", [role, kind, settings, String(STREAMS)]);
	const a = await hop("publish");
	const b = await hop("serve");
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

async function runRow({ name, nodes, by, settings }: Row, rounds: number): Promise<boolean> {
	const servers = await startNatsServers(nodes);
	const text = JSON.stringify({ servers: servers.urls, ...settings });
	const runs = { hand: [] as Latency[], fanout: [] as Latency[] };
	try {
		for (let round = 0; round < rounds; round += 1) {
			const order = round % 2 === 0 ? (["hand", "fanout"] as const) : (["fanout", "hand"] as const);
			for (const who of order) runs[who].push(await measure(who === "hand" ? by : "fanout", text));
		}
	} finally {
		await servers.stop();
	}
	let isMet = true;
	for (const at of ["p50", "p99"] as const) {
		const [hand, fanout] = [runs.hand, runs.fanout].map((all) => median(all.map((run) => run[at])) / 1e6);
		const ratio = (fanout as number) / (hand as number);
		const good = ratio <= MOST[at] && (nodes === 1 || at === "p50" || (fanout as number) < MOST_R3_P99_MS);
		isMet &&= good;
		const figures = `by hand ${hand?.toFixed(3)} ms, fanout ${fanout?.toFixed(3)} ms`;
		console.log(
			`${name.padEnd(10)} ${PER_SECOND}/s, ${at}: ${figures}, ratio ${ratio.toFixed(2)} (at most ${MOST[at]})${good ? "" : " missed"}`,
		);
	}
	return isMet;
}

export async function run(args: readonly string[]): Promise<boolean> {
	const { values } = parseArgs({ args: [...args], options: { rounds: { type: "string", default: "3" } } });
	let isMet = true;
	for (const row of ROWS) isMet = (await runRow(row, Number(values.rounds))) && isMet;
	return isMet;
}
