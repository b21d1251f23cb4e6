/**
 * Tier 1 beside a bare node:http server that does the same work, in the same run, alternated; medians and ratios.
 * CPU is the server's, in seconds per 100,000 deliveries; memory is resident growth per open stream.
 */
import { parseArgs } from "node:util";
import { startClient, startServer } from "./peers.ts";

interface Figures {
	readonly kbPerStream: number;
	readonly broadcastCpu: number;
	readonly broadcastLastMs: number;
	readonly targetedP50Us: number;
	readonly targetedP99Us: number;
	readonly floodCpu: number;
	readonly floodPerSecond: number;
}

interface Row {
	readonly name: string;
	readonly key: keyof Figures;
	/** The most that ours may be, as a multiple of the bare server's. */
	readonly target?: number;
}

const ROWS: readonly Row[] = [
	{ name: "memory, KB per stream", key: "kbPerStream", target: 1.1 },
	{ name: "broadcast, CPU s per 100k", key: "broadcastCpu", target: 1.0 },
	{ name: "broadcast, last stream ms", key: "broadcastLastMs" },
	{ name: "targeted 1k/s, p50 µs", key: "targetedP50Us", target: 1.2 },
	{ name: "targeted 1k/s, p99 µs", key: "targetedP99Us" },
	{ name: "flood, CPU s per 100k", key: "floodCpu", target: 1.0 },
	{ name: "flood, messages per s", key: "floodPerSecond" },
];
const BROADCASTS = 20;
const TARGETED = 5_000;
const FLOOD = 200_000;

async function measureOne(kind: string, streams: number): Promise<Figures> {
	const server = await startServer("local-server.ts", [kind, String(streams)]);
	const stops = [() => server.stop()];
	try {
		const empty = await server.order({ do: "measure" });
		const client = await startClient(server.port, streams);
		stops.unshift(() => client.stop());
		const full = await server.order({ do: "measure" });

		const broadcast = async () => {
			const { received } = await client.expect(streams);
			await server.order({ do: "broadcast" });
			return (await received).max / 1e6;
		};
		for (let n = 0; n < 3; n += 1) await broadcast();
		const lasts: number[] = [];
		const beforeBroadcast = await server.order({ do: "measure" });
		for (let n = 0; n < BROADCASTS; n += 1) lasts.push(await broadcast());
		const afterBroadcast = await server.order({ do: "measure" });

		const { received } = await client.expect(TARGETED);
		await server.order({ do: "targeted", messages: TARGETED, perSecond: 1000 });
		const latency = await received;

		const flooded = await client.expect(FLOOD);
		const beforeFlood = await server.order({ do: "measure" });
		const startedAt = performance.now();
		await server.order({ do: "flood", messages: FLOOD, perTurn: 64 });
		await flooded.received;
		const floodMs = performance.now() - startedAt;
		const afterFlood = await server.order({ do: "measure" });
		return {
			kbPerStream: (full.rss - empty.rss) / 1024 / streams,
			broadcastCpu: (afterBroadcast.cpu - beforeBroadcast.cpu) / 1e6 / ((BROADCASTS * streams) / 100_000),
			broadcastLastMs: median(lasts),
			targetedP50Us: latency.p50 / 1000,
			targetedP99Us: latency.p99 / 1000,
			floodCpu: (afterFlood.cpu - beforeFlood.cpu) / 1e6 / (FLOOD / 100_000),
			floodPerSecond: FLOOD / (floodMs / 1000),
		};
	} finally {
		for (const stop of stops) await stop();
	}
}

function median(values: readonly number[]): number {
	return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

function printTable(ours: readonly Figures[], bare: readonly Figures[]): boolean {
	let isMet = true;
	console.log(
		`\n${"median of ".concat(String(ours.length)).padEnd(28)}${["ours", "bare", "ratio", "target"].map((h) => h.padStart(12)).join("")}`,
	);
	for (const { name, key, target } of ROWS) {
		const [own, other] = [median(ours.map((run) => run[key])), median(bare.map((run) => run[key]))];
		const ratio = own / other;
		const isMissed = target !== undefined && ratio > target;
		if (isMissed) isMet = false;
		const cells = [
			own.toPrecision(4),
			other.toPrecision(4),
			ratio.toFixed(2),
			target === undefined ? "" : `${isMissed ? "MISSED " : ""}${target.toFixed(1)}`,
		];
		console.log(`${name.padEnd(28)}${cells.map((cell) => cell.padStart(12)).join("")}`);
	}
	return isMet;
}

export async function run(args: readonly string[]): Promise<boolean> {
	const { values } = parseArgs({
		args: [...args],
		options: { streams: { type: "string", default: "10000" }, rounds: { type: "string", default: "5" } },
	});
	const [streams, rounds] = [Number(values.streams), Number(values.rounds)];
	const figures: Record<"ours" | "bare", Figures[]> = { ours: [], bare: [] };
	for (let round = 0; round < rounds; round += 1) {
		for (const kind of round % 2 === 0 ? (["bare", "ours"] as const) : (["ours", "bare"] as const)) {
			const one = await measureOne(kind, streams);
			figures[kind].push(one);
			console.log(`${kind.padEnd(5)} ${ROWS.map(({ key }) => `${key} ${one[key].toPrecision(4)}`).join("  ")}`);
		}
	}
	return printTable(figures.ours, figures.bare);
}
