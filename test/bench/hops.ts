/** Hops of several kinds, alternated in one run: publish in one process, client of another. */
import type { HopOrder } from "./hop.ts";
import { type Latency, startClient, startServer } from "./peers.ts";

export const STREAMS = 1_000;
export const PER_SECOND = 1_000;
const MESSAGES = 5_000;
/** A process of a fleet runs for days: in its first seconds the compiler's threads are what is measured, of all kinds. */
const WARM_UP: HopOrder = { messages: 20_000, perSecond: 3_000 };

/** `file` is one end of a hop, told its role first and the number of streams last. */
export async function measureHop(file: string, kind: string, settings: string): Promise<Latency> {
	const start = (role: string) => startServer<HopOrder, object>(file, [role, kind, settings, String(STREAMS)]);
	const a = await start("publish");
	const b = await start("serve");
	const client = await startClient(b.port, STREAMS, kind === "socket.io" ? kind : "sse");
	const send = async (order: HopOrder) => {
		const { received } = await client.expect(order.messages);
		await a.order(order);
		return received;
	};
	try {
		await send(WARM_UP);
		return await send({ messages: MESSAGES, perSecond: PER_SECOND });
	} finally {
		for (const peer of [client, a, b]) await peer.stop();
	}
}

/** Rounds forth and back, so that no kind always meets the same moment. */
export async function alternate<K extends string>(
	kinds: readonly K[],
	rounds: number,
	measure: (kind: K) => Promise<Latency>,
): Promise<Record<K, Latency[]>> {
	const runs = Object.fromEntries(kinds.map((kind) => [kind, [] as Latency[]])) as Record<K, Latency[]>;
	for (let round = 0; round < rounds; round += 1) {
		for (const kind of round % 2 === 0 ? kinds : kinds.toReversed()) {
			const one = await measure(kind);
			runs[kind].push(one);
			console.log(`${kind.padEnd(9)}  p50 ${(one.p50 / 1e6).toFixed(3)} ms  p99 ${(one.p99 / 1e6).toFixed(3)} ms`);
		}
	}
	return runs;
}

/** Milliseconds. */
export function medianMs(runs: readonly Latency[], at: "p50" | "p99"): number {
	const values = runs.map((run) => run[at]).toSorted((a, b) => a - b);
	return (values[Math.floor(values.length / 2)] ?? Number.NaN) / 1e6;
}
