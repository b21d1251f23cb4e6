import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, describe, expect, it } from "vitest";
import { run, startProc, waitFor } from "../../support/proc.ts";
import { CHILD_PATH } from "../../support/root.ts";

const env = { PATH: CHILD_PATH };
const dirs: string[] = [];

async function freshDir(): Promise<string> {
	const dir = await mkdtemp(join(tmpdir(), "a dir with spaces "));
	dirs.push(dir);
	return dir;
}

afterEach(async () => {
	await Promise.all(dirs.splice(0).map((dir) => rm(dir, { recursive: true, force: true })));
});

function alive(pid: number): boolean {
	try {
		process.kill(pid, 0);
		return true;
	} catch {
		return false;
	}
}

/** A shell whose child ignores SIGTERM: the kind that gets left behind. */
const STUBBORN = `node -e 'process.on("SIGTERM", () => {}); console.log("pid " + process.pid); setInterval(() => {}, 1000)' & wait`;

async function grandchildOf(tail: () => string): Promise<number> {
	await waitFor("the grandchild runs", async () => /pid \d+/.test(tail()), { deadlineMs: 20_000 });
	return Number(/pid (\d+)/.exec(tail())?.[1]);
}

describe("startProc", () => {
	it("ends the whole group on stop, stubborn grandchildren too", async () => {
		const dir = await freshDir();
		const logFile = join(dir, "log");
		const proc = startProc({ name: "shell", command: "/bin/sh", args: ["-c", STUBBORN], cwd: dir, env, logFile });
		const grandchild = await grandchildOf(() => proc.tail());
		expect(alive(grandchild)).toBe(true);
		await proc.stop();
		await waitFor("the grandchild is gone", async () => !alive(grandchild), { deadlineMs: 5_000 });
		expect(proc.running()).toBe(false);
	});

	it("ends the group when its starter is killed without a chance to clean up", async () => {
		const dir = await freshDir();
		const logFile = join(dir, "log");
		const module = join(import.meta.dirname, "../../support/proc.ts");
		const options = { name: "shell", command: "/bin/sh", args: ["-c", STUBBORN], cwd: dir, env, logFile };
		const starter = `
			import { startProc, waitFor } from ${JSON.stringify(module)};
			const proc = startProc(${JSON.stringify(options)});
			await waitFor("it runs", async () => /pid \\d+/.test(proc.tail()), { deadlineMs: 20_000 });
			console.log(proc.tail());
			process.kill(process.pid, "SIGKILL");`;
		const outcome = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", starter]).catch(
			(error: { stdout: string }) => error,
		);
		const grandchild = await grandchildOf(() => outcome.stdout);
		await waitFor("the grandchild is gone", async () => !alive(grandchild), { deadlineMs: 10_000 });
	});

	it("says what a failed command said", async () => {
		const dir = await freshDir();
		const options = { name: "it", command: "/bin/sh", cwd: dir, env, logFile: join(dir, "log"), deadlineMs: 10_000 };
		await expect(run({ ...options, args: ["-c", "echo oh no; exit 3"] })).rejects.toThrow(/code 3[\s\S]*oh no/);
		expect(await run({ ...options, logFile: join(dir, "log2"), args: ["-c", "echo fine"] })).toBe("fine\n");
	});
});
