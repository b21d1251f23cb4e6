/**
 * Tier 1 beside a bare node:http server, in the same run, alternated; medians and ratios. The hub does the bare
 * server's work: a message object to the sockets that it is for. The fanout does the whole pipeline: validated, with
 * an id, in a log that clients resume from, with a receipt. CPU is the server's, in seconds per 100,000 deliveries;
 * memory is resident growth per open stream after a full collection.
 */
import { parseArgs } from "node:util";
import type { Measure, Order } from "./local-server.ts";
import { startClient, startServer } from "./peers.ts";
import { runStalled } from "./stalled.ts";

type Kind = "bare" | "hub" | "fanout";

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

async function measureOne(kind: Kind, streams: number): Promise<Figures> {
	const server = await startServer<Order, Measure>("local-server.ts", [kind, String(streams)]);
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
		const beforeBroadcast = await server.order({ do: "nothing" });
		for (let n = 0; n < BROADCASTS; n += 1) lasts.push(await broadcast());
		const afterBroadcast = await server.order({ do: "nothing" });

		const { received } = await client.expect(TARGETED);
		await server.order({ do: "targeted", messages: TARGETED, perSecond: 1000 });
		const latency = await received;

		const flooded = await client.expect(FLOOD);
		const beforeFlood = await server.order({ do: "nothing" });
		const startedAt = performance.now();
		await server.order({ do: "flood", messages: FLOOD, perTurn: 64 });
		await flooded.received;
		const floodMs = performance.now() - startedAt;
		const afterFlood = await server.order({ do: "nothing" });
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

/** Ratios are to the bare server. Targets hold for the hub: the fanout column adds what the bare server has not at all. */
function printTable(runs: Readonly<Record<Kind, readonly Figures[]>>): boolean {
	let isMet = true;
	const line = (name: string, cells: readonly string[]) =>
		console.log(`${name.padEnd(28)}${cells.map((cell) => cell.padStart(11)).join("")}`);
	console.log();
	line(`median of ${runs.bare.length}`, ["bare", "hub", "ratio", "target", "fanout", "ratio"]);
	for (const { name, key, target } of ROWS) {
		const of = (kind: Kind) => median(runs[kind].map((run) => run[key]));
		const [bare, hub, fanout] = [of("bare"), of("hub"), of("fanout")];
		const ratio = hub / bare;
		const isMissed = target !== undefined && ratio > target;
		if (isMissed) isMet = false;
		const goal = target === undefined ? "" : `${target.toFixed(1)}${isMissed ? " missed" : ""}`;
		const figures = [bare, hub, fanout].map((figure) => figure.toPrecision(4)) as [string, string, string];
		line(name, [figures[0], figures[1], ratio.toFixed(2), goal, figures[2], (fanout / bare).toFixed(2)]);
	}
	return isMet;
}

export async function run(args: readonly string[]): Promise<boolean> {
	const { values } = parseArgs({
		args: [...args],
		options: {
			streams: { type: "string", default: "10000" },
			rounds: { type: "string", default: "5" },
			events: { type: "string", default: "1000000" },
		},
	});
	const [streams, rounds] = [Number(values.streams), Number(values.rounds)];
	const figures: Record<Kind, Figures[]> = { bare: [], hub: [], fanout: [] };
	const order: readonly Kind[] = ["bare", "hub", "fanout"];
	for (let round = 0; round < rounds; round += 1) {
		for (const kind of round % 2 === 0 ? order : order.toReversed()) {
			const one = await measureOne(kind, streams);
			figures[kind].push(one);
			console.log(`${kind.padEnd(6)} ${ROWS.map(({ key }) => `${key} ${one[key].toPrecision(4)}`).join("  ")}`);
		}
	}
	const isMet = printTable(figures);
	return (await runStalled(Number(values.events))) && isMet;
}
