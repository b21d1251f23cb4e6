/**
 * Tier 1 beside a bare node:http server, in the same run, alternated; medians and ratios. The hub does the bare
 * server's work: a message object to the sockets that it is for. The fanout does the whole pipeline: validated, with
 * an id, in a log that clients resume from, with a receipt. CPU is the server's, in seconds per 100,000 deliveries;
 * memory is resident growth per open stream after a full collection, once some streams have come and gone: what the
 * first ones leave (compiled code, a heap of another size) is 10 to 15 MB of any of these servers, however many follow.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { Measure, Order } from "./local-server.ts";
import { type Latency, startClient, startServer } from "./peers.ts";
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
const BROADCASTS = 15;
const TARGETEDS = 7;
const TARGETED = 500;
const FLOODS = 10;
const FLOOD = 20_000;
/** Runs, and streams, that are not counted. */
const WARM_UP = 3;
const WARM_STREAMS = 1_000;
/** Until a server has let go of streams whose client is gone. */
const CLOSING_MS = 1_000;

async function measureOne(kind: Kind, streams: number): Promise<Figures> {
	const server = await startServer<Order, Measure>("local-server.ts", [kind, String(streams)]);
	const stops = [() => server.stop()];
	try {
		await (await startClient(server.port, WARM_STREAMS)).stop();
		await sleep(CLOSING_MS);
		const empty = await server.order({ do: "measure" });
		const client = await startClient(server.port, streams);
		stops.unshift(() => client.stop());
		const full = await server.order({ do: "measure" });

		/** The server's CPU seconds per 100,000 deliveries of one run, and what the clients saw of it. */
		const cost = async (order: Order, deliveries: number): Promise<{ cpu: number; ms: number; seen: Latency }> => {
			const { received } = await client.expect(deliveries);
			const before = await server.order({ do: "nothing" });
			const startedAt = performance.now();
			await server.order(order);
			const seen = await received;
			const ms = performance.now() - startedAt;
			const after = await server.order({ do: "nothing" });
			return { cpu: (after.cpu - before.cpu) / 1e6 / (deliveries / 100_000), ms, seen };
		};
		const repeat = async (times: number, order: Order, deliveries: number) => {
			const runs: Awaited<ReturnType<typeof cost>>[] = [];
			for (let n = 0; n < WARM_UP + times; n += 1) runs.push(await cost(order, deliveries));
			return runs.slice(WARM_UP);
		};

		const broadcasts = await repeat(BROADCASTS, { do: "broadcast" }, streams);
		const targeted = await repeat(TARGETEDS, { do: "targeted", messages: TARGETED, perSecond: 1000 }, TARGETED);
		const floods = await repeat(FLOODS, { do: "flood", messages: FLOOD, perTurn: 64 }, FLOOD);
		return {
			kbPerStream: (full.rss - empty.rss) / 1024 / streams,
			broadcastCpu: median(broadcasts.map(({ cpu }) => cpu)),
			broadcastLastMs: median(broadcasts.map((run) => run.seen.max / 1e6)),
			targetedP50Us: median(targeted.map((run) => run.seen.p50 / 1000)),
			targetedP99Us: median(targeted.map((run) => run.seen.p99 / 1000)),
			floodCpu: median(floods.map(({ cpu }) => cpu)),
			floodPerSecond: FLOOD / (median(floods.map(({ ms }) => ms)) / 1000),
		};
	} finally {
		for (const stop of stops) await stop();
	}
}

function median(values: readonly number[]): number {
	return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** Ratios are to the bare server. Targets hold for the whole fanout; the hub column says what of it is the streams'. */
function printTable(runs: Readonly<Record<Kind, readonly Figures[]>>): boolean {
	let isMet = true;
	const line = (name: string, cells: readonly string[]) =>
		console.log(`${name.padEnd(28)}${cells.map((cell) => cell.padStart(11)).join("")}`);
	console.log();
	line(`median of ${runs.bare.length}`, ["bare", "hub", "ratio", "fanout", "ratio", "target"]);
	for (const { name, key, target } of ROWS) {
		const of = (kind: Kind) => median(runs[kind].map((run) => run[key]));
		const [bare, hub, fanout] = [of("bare"), of("hub"), of("fanout")];
		const ratio = fanout / bare;
		const isMissed = target !== undefined && ratio > target;
		if (isMissed) isMet = false;
		const goal = target === undefined ? "" : `${target.toFixed(1)}${isMissed ? " missed" : ""}`;
		const figures = [bare, hub, fanout].map((figure) => figure.toPrecision(4)) as [string, string, string];
		line(name, [figures[0], figures[1], (hub / bare).toFixed(2), figures[2], ratio.toFixed(2), goal]);
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
