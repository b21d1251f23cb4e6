/**
 * A real PostgreSQL server for tests, on data of its own. It refuses to run as root: there it runs as nobody, from a
 * copy of its programs, since a checkout may lie where nobody may look. It can be ended and started again
 * on its data, as it is or as a standby that is promoted.
 */
import { execFile } from "node:child_process";
import { chmod, chown, cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Client } from "pg";
import { freePort } from "./ports.ts";
import { type Proc, startProc, waitFor } from "./proc.ts";
import { CHILD_PATH } from "./root.ts";
import { postgresPrograms } from "./servers.ts";

const DEADLINE_MS = 30_000;
const NOBODY = 65_534;
const exec = promisify(execFile);

export interface PostgresServer {
	readonly url: string;
	/** Runs a statement on a connection of its own. */
	run(text: string, values?: readonly unknown[]): Promise<readonly Record<string, unknown>[]>;
	/** At once, without a word to anybody. */
	kill(): Promise<void>;
	/** Again, on the same port and data. */
	start(): Promise<void>;
	/** Ends it and starts it again as a standby, which is made the primary: its past is the same, its timeline is not. */
	promote(): Promise<void>;
	stop(): Promise<void>;
}

export async function startPostgres(): Promise<PostgresServer> {
	const isRoot = process.getuid?.() === 0;
	// The temporary directory of a run is its user's alone.
	const dir = await mkdtemp(join(isRoot ? "/tmp" : tmpdir(), "mcp-fanout-postgres-"));
	const data = join(dir, "data");
	const programs = await postgresPrograms();
	await mkdir(data);
	if (isRoot) {
		for (const name of programs.folders) await cp(join(programs.base, name), join(dir, name), { recursive: true });
		await chmod(dir, 0o755);
		await chown(data, NOBODY, NOBODY);
	}
	const bin = join(isRoot ? dir : programs.base, programs.bin);
	const as = isRoot ? ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"] : [];
	const [command = "", ...before] = [...as, join(bin, "initdb")];
	const how = ["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"];
	await exec(command, [...before, ...how], { cwd: dir, env: { PATH: CHILD_PATH }, timeout: DEADLINE_MS });
	const port = await freePort();
	const url = `postgres://postgres@127.0.0.1:${port}/postgres`;

	const run: PostgresServer["run"] = async (text, values = []) => {
		const client = new Client({ connectionString: url, query_timeout: DEADLINE_MS });
		client.on("error", () => {});
		await client.connect();
		try {
			return (await client.query(text, [...values])).rows;
		} finally {
			await client.end();
		}
	};
	let proc: Proc | undefined;
	const end = async (signal: NodeJS.Signals) => {
		const [pid] = (await readFile(join(data, "postmaster.pid"), "utf8").catch(() => "")).split("\n");
		if (proc?.running() && Number(pid) > 0) process.kill(Number(pid), signal);
		await proc?.exited;
	};
	const server: PostgresServer = {
		url,
		run,
		async start() {
			const [command = "", ...before] = [...as, join(bin, "postgres")];
			const place = ["-D", data, "-h", "127.0.0.1", "-p", String(port), "-k", ""];
			const args = [...before, ...place, "-c", "dynamic_shared_memory_type=mmap"];
			const env = { PATH: CHILD_PATH, LANG: "C.UTF-8" };
			proc = startProc({ name: "postgres", command, args, cwd: dir, env, logFile: join(dir, "server.log") });
			const answers = () => run("SELECT 1").then((rows) => rows.length === 1);
			await waitFor("postgres answers", answers, { deadlineMs: DEADLINE_MS, everyMs: 20, proc });
		},
		kill: () => end("SIGQUIT"),
		async promote() {
			await end("SIGINT");
			await writeFile(join(data, "standby.signal"), "");
			await server.start();
			await run("SELECT pg_promote()");
		},
		async stop() {
			await end("SIGINT");
			await rm(dir, { recursive: true, force: true });
		},
	};
	try {
		await server.start();
	} catch (error) {
		await server.stop();
		throw error;
	}
	return server;
}
