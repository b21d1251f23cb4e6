/**
 * Child processes that cannot be left behind: each runs under keeper.ts in a process group of its own, and the group
 * ends with `stop()`, with our exit, or with our death. Output goes to a log file; `tail()` is for error messages.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

export interface ProcOptions {
	readonly name: string;
	readonly command: string;
	readonly args: readonly string[];
	readonly env: Readonly<Record<string, string>>;
	readonly cwd: string;
	readonly logFile: string;
}

export interface Proc {
	readonly name: string;
	readonly pid: number;
	readonly exited: Promise<number | null>;
	running(): boolean;
	tail(lines?: number): string;
	/** Ends the whole group; resolves when it is gone. Idempotent. */
	stop(): Promise<void>;
}

export const STOP_DEADLINE_MS = 8_000;
const KEEPER = join(import.meta.dirname, "keeper.ts");

export function startProc(options: ProcOptions): Proc {
	mkdirSync(dirname(options.logFile), { recursive: true });
	const log = openSync(options.logFile, "a");
	let child: ChildProcess;
	try {
		child = spawn(process.execPath, [KEEPER, options.command, ...options.args], {
			cwd: options.cwd,
			env: options.env,
			detached: true,
			stdio: ["pipe", log, log],
		});
	} finally {
		closeSync(log);
	}
	const pid = child.pid;
	if (pid === undefined) throw new Error(`cannot start ${options.name}`);
	const exited = new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)));
	child.stdin?.on("error", () => {
		// EPIPE: the keeper is gone already, which `exited` tells.
	});
	// The keeper is no reason to stay alive: our exit ends its stdin, and that ends the group.
	child.unref();
	const running = () => child.exitCode === null && child.signalCode === null;
	return {
		name: options.name,
		pid,
		exited,
		running,
		tail: (lines = 30) => readFileSync(options.logFile, "utf8").split("\n").slice(-lines).join("\n"),
		async stop() {
			if (!running()) return;
			child.ref();
			child.stdin?.end();
			const killer = setTimeout(() => killGroup(pid), STOP_DEADLINE_MS);
			await exited;
			clearTimeout(killer);
		},
	};
}

function killGroup(pid: number): void {
	try {
		process.kill(-pid, "SIGKILL");
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
	}
}

/** Polls until `check` holds; names what was waited for, and the process's last output, when it does not. */
export async function waitFor(
	what: string,
	check: () => Promise<boolean>,
	options: { readonly deadlineMs: number; readonly everyMs?: number; readonly proc?: Proc },
): Promise<void> {
	const end = performance.now() + options.deadlineMs;
	let last: unknown;
	while (performance.now() < end) {
		if (options.proc !== undefined && !options.proc.running()) {
			throw new Error(`${options.proc.name} ended before ${what}:\n${options.proc.tail()}`);
		}
		try {
			if (await check()) return;
		} catch (error) {
			last = error;
		}
		await new Promise((resolve) => setTimeout(resolve, options.everyMs ?? 50));
	}
	const tail = options.proc === undefined ? "" : `\n${options.proc.tail()}`;
	throw new Error(`${what}: not within ${options.deadlineMs} ms${tail}`, { cause: last });
}

/** Runs a command to its end with its output in a log; throws with the output's tail when it fails. */
export async function run(options: ProcOptions & { readonly deadlineMs: number }): Promise<string> {
	const proc = startProc(options);
	const timer = setTimeout(() => void proc.stop(), options.deadlineMs);
	const from = performance.now();
	const code = await proc.exited;
	clearTimeout(timer);
	if (code !== 0) {
		const late = performance.now() - from >= options.deadlineMs ? ` (stopped after ${options.deadlineMs} ms)` : "";
		throw new Error(`${options.name} failed with code ${code}${late}:\n${proc.tail(60)}`);
	}
	return readFileSync(options.logFile, "utf8");
}
