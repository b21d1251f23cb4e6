/** Memory that is really in use: what is left in the pages of collected garbage differs from run to run. */
import { setTimeout as sleep } from "node:timers/promises";

type Collect = (how: { type: "major"; execution: "sync"; flavor: "last-resort" }) => void;

/** V8 gives pages back from a thread of its own. */
const UNMAP_MS = 300;

/** Bytes resident and on the JavaScript heap after a full collection; needs `--expose-gc`. */
export async function collected(): Promise<{ rss: number; heap: number }> {
	const { gc } = globalThis as { gc?: Collect };
	gc?.({ type: "major", execution: "sync", flavor: "last-resort" });
	await sleep(UNMAP_MS);
	const { rss, heapUsed } = process.memoryUsage();
	return { rss, heap: heapUsed };
}
