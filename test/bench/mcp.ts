/**
 * 2026-07-28 listens through the fleet handler, beside the SDK's own in-memory bus, in the same run, in turns; medians
 * and ratios, over HTTP. CPU is the server's, in seconds per 100,000 deliveries; ours is the whole way from publish,
 * with log and receipt. `adapter` is the same behind the SDK's adapter for node:http in the place of ours; `bare` is
 * node:http alone, one res.write of a frame made beforehand. All are treated alike: what opening left is collected, and SETTLE_MS go by, since
 * V8 collects twice more of itself 8 seconds after a heap has grown, which cost more than all that a paced run
 * delivers; then some paced events warm the code. Paced slices stand beside slices of the bench's timer alone, whose
 * cost is taken off, so that both have the same machine; the median pair counts. Then a client that never reads.
 */
import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { type Listens, listenRequest, openListens } from "./mcp-listens.ts";
import type { McpMeasure, McpOrder } from "./mcp-server.ts";
import { type ServerPeer, startServer } from "./peers.ts";

const KINDS = ["sdk", "fleet", "adapter", "bare"] as const;
type Kind = (typeof KINDS)[number];

interface Figures {
	readonly kbPerListen: number;
	readonly heapPerListen: number;
	readonly targetedCpu: number;
	readonly floodCpu: number;
	readonly everyoneCpu: number;
}

const ROWS = [
	{ name: "memory, KB resident per listen", key: "kbPerListen", target: 1.5 },
	{ name: "memory, KB of JavaScript heap per listen", key: "heapPerListen", target: 1.5 },
	{ name: "resource_updated to one at 200/s, CPU s per 100k", key: "targetedCpu", target: 1 / 20 },
	{ name: "resource_updated to one, as fast as it goes, CPU s per 100k", key: "floodCpu", target: 1 / 20 },
	{ name: "list_changed to all, CPU s per 100k", key: "everyoneCpu", target: 1 },
] as const;
const SETTLE_MS = 12_000;
const SLICES = 15;
const TARGETED = 100;
const PER_SECOND = 200;
/** The SDK looks at every listen for each event: fewer events tell as much. */
const FLOOD: Readonly<Record<Kind, number>> = { sdk: 500, fleet: 20_000, adapter: 20_000, bare: 20_000 };
/** The compiler works through the first of them, of all kinds. */
const WARM_FLOODS = 4;
const FLOODS = 3;
const EVERYONE = 20;
const WARM_UP = 3;
const WARM_LISTENS = 100;
const FLAT_BYTES = 10 * 1024 * 1024;
const STALLED_URIS = 100;

const start = (kind: Kind) => startServer<McpOrder, McpMeasure>("mcp-server.ts", [kind]);

async function measureOne(kind: Kind, count: number): Promise<Figures> {
	const server = await start(kind);
	let listens: Listens | undefined;
	try {
		// The bare one knows its responses by their place: none may have come before.
		if (kind !== "bare") (await openListens(server.port, WARM_LISTENS)).close();
		const empty = await server.order({ do: "measure" });
		const opened = await openListens(server.port, count);
		listens = opened;
		const full = await server.order({ do: "measure" });
		const cost = async (order: McpOrder & { readonly events: number }) => {
			const deliveries = order.events * (order.do === "everyone" ? count : 1);
			const { cpu } = await server.order({ do: "targeted", events: 0 });
			const done = opened.until(opened.frames + (order.do === "wait" ? 0 : deliveries));
			await server.order(order);
			await done;
			const after = await server.order({ do: "targeted", events: 0 });
			return (after.cpu - cpu) / 1e6 / (deliveries / 100_000);
		};
		const floods: number[] = [];
		for (let run = 0; run < WARM_FLOODS + FLOODS; run += 1) {
			floods.push(await cost({ do: "targeted", events: FLOOD[kind] }));
		}
		const floodCpu = median(floods.slice(WARM_FLOODS));
		await server.order({ do: "collect" });
		await sleep(SETTLE_MS);
		const paced = { events: TARGETED, perSecond: PER_SECOND };
		for (let slice = 0; slice < WARM_UP; slice += 1) await cost({ do: "targeted", ...paced });
		const pairs: number[] = [];
		for (let slice = 0; slice < SLICES; slice += 1) {
			const waiting = await cost({ do: "wait", ...paced });
			pairs.push((await cost({ do: "targeted", ...paced })) - waiting);
		}
		const targetedCpu = median(pairs);
		await cost({ do: "everyone", events: WARM_UP });
		return {
			kbPerListen: (full.rss - empty.rss) / 1024 / count,
			heapPerListen: (full.heap - empty.heap) / 1024 / count,
			targetedCpu,
			floodCpu,
			everyoneCpu: await cost({ do: "everyone", events: EVERYONE }),
		};
	} finally {
		listens?.close();
		await server.stop();
	}
}

/** A client that asks for a hundred resources and then never reads. */
async function stall(server: ServerPeer<McpOrder, McpMeasure>): Promise<() => void> {
	const uris = Array.from({ length: STALLED_URIS }, (_, n) => `docs://${n}`);
	const socket = connect(server.port, "127.0.0.1");
	socket.on("error", () => undefined);
	socket.write(listenRequest(1, uris));
	await once(socket, "readable");
	return () => socket.destroy();
}

async function runStalled(events: number): Promise<boolean> {
	const server = await start("fleet");
	let end = () => {};
	try {
		end = await stall(server);
		await server.order({ do: "flood", events: events / 10 });
		const before = await server.order({ do: "measure" });
		await server.order({ do: "flood", events });
		const after = await server.order({ do: "measure" });
		const grown = after.rss - before.rss;
		const megabytes = (bytes: number) => `${(bytes / 1024 / 1024).toFixed(1)} MB`;
		const isFlat = Math.abs(grown) <= FLAT_BYTES;
		console.log(
			`one stalled listen through ${events} events: RSS ${megabytes(before.rss)} before, ${megabytes(after.rss)} after, ${megabytes(grown)} grown (at most ±${megabytes(FLAT_BYTES)})${isFlat ? "" : " missed"}`,
		);
		return isFlat;
	} finally {
		end();
		await server.stop();
	}
}

const median = (values: readonly number[]) =>
	values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

export async function run(args: readonly string[]): Promise<boolean> {
	const { values } = parseArgs({
		args: [...args],
		options: {
			listens: { type: "string", default: "10000" },
			rounds: { type: "string", default: "3" },
			events: { type: "string", default: "1000000" },
		},
	});
	const runs: Record<Kind, Figures[]> = { sdk: [], fleet: [], adapter: [], bare: [] };
	for (let round = 0; round < Number(values.rounds); round += 1) {
		for (const kind of round % 2 === 0 ? KINDS : KINDS.toReversed()) {
			const one = await measureOne(kind, Number(values.listens));
			runs[kind].push(one);
			console.log(`${kind.padEnd(7)} ${ROWS.map(({ key }) => `${key} ${one[key].toPrecision(4)}`).join("  ")}`);
		}
	}
	let isMet = true;
	for (const { name, key, target } of ROWS) {
		const [sdk = 0, fleet = 0, adapter = 0, bare = 0] = KINDS.map((kind) => median(runs[kind].map((one) => one[key])));
		const isMissed = fleet / sdk > target;
		if (isMissed) isMet = false;
		const figures = `sdk ${sdk.toPrecision(4)}, fleet ${fleet.toPrecision(4)}, ratio ${(fleet / sdk).toFixed(3)}`;
		const beside = (name: string, value: number) =>
			`${name} ${value.toPrecision(4)}, ratio ${(value / sdk).toFixed(3)}`;
		console.log(
			`${name}: ${figures} (at most ${target}); ${beside("adapter", adapter)}; ${beside("bare", bare)}${isMissed ? " missed" : ""}`,
		);
	}
	return (await runStalled(Number(values.events))) && isMet;
}
