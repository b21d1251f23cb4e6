/** The example's server processes: some in each region, behind one address per region, each a process of its own. */
import { join } from "node:path";
import type { Cell } from "./cell.ts";
import type { Emulator } from "./emulator.ts";
import { freePorts } from "./ports.ts";
import { type Proc, startProc, waitFor } from "./proc.ts";
import { ROOT } from "./root.ts";
import { startRoundRobin } from "./round-robin.ts";

const START_DEADLINE_MS = 30_000;
const SERVER = join(ROOT, "examples", "two-regions", "server.ts");

export interface Site {
	readonly cell: Cell;
	/** The one address of the region. */
	readonly url: string;
	/** Each process's own address. */
	readonly processUrls: readonly string[];
	readonly processes: readonly Proc[];
}

export interface Fleet {
	readonly sites: readonly Site[];
	stop(): Promise<void>;
}

type Place = Pick<Emulator, "env" | "dir">;

export async function startFleet(emulator: Place, cells: readonly Cell[], perRegion = 2): Promise<Fleet> {
	const cleanups: (() => Promise<void>)[] = [];
	const stop = async () => void (await Promise.all(cleanups.splice(0).map((cleanup) => cleanup())));
	try {
		const sites = await Promise.all(cells.map((cell) => startSite(emulator, cell, perRegion, cleanups)));
		return { sites, stop };
	} catch (error) {
		await stop();
		throw error;
	}
}

async function startSite(
	emulator: Place,
	cell: Cell,
	perRegion: number,
	cleanups: (() => Promise<void>)[],
): Promise<Site> {
	const ports = await freePorts(perRegion);
	const processes = await Promise.all(
		ports.map(async (port, index) => {
			const name = `server ${index + 1} of ${cell.region}`;
			const proc = startProc({
				name,
				command: process.execPath,
				args: [SERVER],
				cwd: ROOT,
				env: { ...emulator.env, ...cell.environment, AWS_REGION: cell.region, PORT: String(port) },
				logFile: join(emulator.dir, `${cell.region}-${port}.log`),
			});
			cleanups.push(() => proc.stop());
			await waitFor(
				`${name} answers`,
				async () => (await fetch(`http://localhost:${port}/health`, { signal: AbortSignal.timeout(2_000) })).ok,
				{ deadlineMs: START_DEADLINE_MS, proc },
			);
			return proc;
		}),
	);
	const proxy = await startRoundRobin(ports);
	cleanups.push(() => proxy.close());
	return { cell, url: proxy.url, processUrls: ports.map((port) => `http://localhost:${port}`), processes };
}
