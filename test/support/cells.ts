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

export async function openCells(): Promise<Cells> {
	const file = process.env[CELLS_FILE];
	if (file !== undefined && file !== "") {
		const shared = JSON.parse(readFileSync(file, "utf8")) as Omit<Cells, "close">;
		return { ...shared, close: async () => {} };
	}
	const progress = createProgress();
	const emulator = await startEmulator(progress);
	try {
		return { emulator, cells: await deployCells(emulator, progress), close: () => emulator.stop() };
	} catch (error) {
		await emulator.stop();
		throw error;
	}
}
