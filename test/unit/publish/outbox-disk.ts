/** A folder of its own for the outbox's file of each test of a test file; what was opened on it is closed first. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach } from "vitest";
import type { Outgoing } from "../../../lambda/layer/src/outgoing.ts";

export interface Disk {
	readonly directory: string;
	/** The path that this test's outbox is kept at. */
	readonly file: string;
	/** Closed after the test. */
	readonly open: Outgoing[];
}

export function createDisk(): Disk {
	let directory = "";
	const open: Outgoing[] = [];
	beforeEach(() => {
		directory = mkdtempSync(join(tmpdir(), "fanout outbox-"));
	});
	afterEach(() => {
		for (const outgoing of open.splice(0)) outgoing.close();
		rmSync(directory, { recursive: true, force: true });
	});
	return {
		get directory() {
			return directory;
		},
		get file() {
			return join(directory, "outbox.db");
		},
		open,
	};
}
