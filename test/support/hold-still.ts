/** Holds a process still by SIGSTOP, which works later than it is sent: on a busy machine a server still answered 40 ms after it. */
import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { waitFor } from "./proc.ts";

const exec = promisify(execFile);
const DEADLINE_MS = 20_000;
/** Stopped, or a thread that has ended. */
const STILL = /^[TtZX]/;

/** Resolves when none of its threads runs any more. */
export async function holdStill(pid: number): Promise<void> {
	process.kill(pid, "SIGSTOP");
	const isStill = async () => (await statesOf(pid)).every((state) => STILL.test(state));
	await waitFor(`the process ${pid} stands still`, isStill, { deadlineMs: DEADLINE_MS, everyMs: 1 });
}

/** Of its threads; of the process where the system does not show them. None of a process that has ended. */
async function statesOf(pid: number): Promise<string[]> {
	if (process.platform !== "linux") {
		const shown = await exec("ps", ["-o", "state=", "-p", String(pid)]).catch(() => undefined);
		return shown === undefined ? [] : [shown.stdout.trim()];
	}
	const tasks = await readdir(`/proc/${pid}/task`).catch(() => []);
	// The name before the state may hold anything; a thread that has just ended has no file.
	const stats = await Promise.all(
		tasks.map((id) => readFile(`/proc/${pid}/task/${id}/stat`, "utf8").catch(() => ") X")),
	);
	return stats.map((stat) => stat.slice(stat.lastIndexOf(")") + 2));
}
