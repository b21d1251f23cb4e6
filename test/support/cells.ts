/**
 * The deployed cells for a test file: those of the run (`npm test` deploys once and names a file in the environment),
 * or, when a file is run alone, an emulator of its own.
 */
import { readFileSync } from "node:fs";
import type { Cell } from "./cell.ts";
import { deployCells } from "./deploy.ts";
import { type Emulator, startEmulator } from "./emulator.ts";
import { createProgress } from "./progress.ts";

/** The environment variable that names the file. */
export const CELLS_FILE = "FANOUT_TEST_CELLS";

export interface Cells {
	readonly emulator: Pick<Emulator, "endpoint" | "socketEndpoint" | "env" | "dir">;
	readonly cells: readonly Cell[];
	/** Ends what was started here; nothing of the run's. */
	close(): Promise<void>;
}

function sharedCells(): Omit<Cells, "close"> | undefined {
	const file = process.env[CELLS_FILE];
	return file === undefined || file === "" ? undefined : JSON.parse(readFileSync(file, "utf8"));
}

/** The run's emulator, for a file that makes what it needs under names of its own; alone, it has one of its own. */
export async function openEmulator(): Promise<Pick<Emulator, "endpoint" | "env" | "stop">> {
	const shared = sharedCells();
	return shared === undefined ? startEmulator() : { ...shared.emulator, stop: async () => {} };
}

export async function openCells(): Promise<Cells> {
	const shared = sharedCells();
	if (shared !== undefined) return { ...shared, close: async () => {} };
	const progress = createProgress();
	const emulator = await startEmulator(progress);
	try {
		return { emulator, cells: await deployCells(emulator, progress), close: () => emulator.stop() };
	} catch (error) {
		await emulator.stop();
		throw error;
	}
}
