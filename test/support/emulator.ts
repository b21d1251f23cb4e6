/**
 * The AWS emulator: MiniStack on a free port in a clean environment (its Lambdas inherit all of it), or the user's
 * own when AWS_ENDPOINT_URL is set, and then nothing is started. Everything it writes is in a private directory that
 * goes away with it. `env` is what a child process (cdk, a server) needs to talk to it.
 */
import { copyFile, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./ports.ts";
import { type Proc, startProc, waitFor } from "./proc.ts";
import { type Progress, silent } from "./progress.ts";
import { CHILD_PATH, ROOT, STATE_DIR } from "./root.ts";
import { ministackCommand } from "./servers.ts";
import { startSocketFront } from "./socket-front.ts";

export const START_DEADLINE_MS = 60_000;
export const ACCOUNT = "000000000000";

export interface Emulator {
	/** http://localhost:<port> */
	readonly endpoint: string;
	/** ws://localhost:<port>: where WebSocket clients connect. */
	readonly socketEndpoint: string;
	/** Environment of child processes; complete, nothing of ours leaks beside it. */
	readonly env: Readonly<Record<string, string>>;
	/** A private directory for what is generated, gone after `stop`. */
	readonly dir: string;
	readonly started: boolean;
	/** The emulator's last output, for error messages. */
	tail(): string;
	/** Idempotent. */
	stop(): Promise<void>;
}

export async function startEmulator(progress: Progress = silent): Promise<Emulator> {
	const dir = await mkdtemp(join(tmpdir(), "mcp-fanout-"));
	let proc: Proc | undefined;
	try {
		const given = process.env.AWS_ENDPOINT_URL;
		if (given === undefined || given === "") proc = await startMinistack(dir, progress);
		const endpoint = (given === undefined || given === "" ? proc?.name : given) as string;
		if (proc === undefined) progress.note(`using the emulator at ${endpoint} (AWS_ENDPOINT_URL is set)`);
		await waitForHealth(endpoint, proc);
		const front = await startSocketFront(endpoint);
		const running = proc;
		let stopping: Promise<void> | undefined;
		const stop = async () => {
			await front.close();
			await running?.stop();
			if (running !== undefined) await keepLog(dir);
			await rm(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
		};
		return {
			endpoint,
			socketEndpoint: front.endpoint,
			env: childEnv(dir, endpoint, running !== undefined),
			dir,
			started: running !== undefined,
			tail: () => running?.tail() ?? "",
			stop() {
				stopping ??= stop();
				return stopping;
			},
		};
	} catch (error) {
		await proc?.stop();
		await rm(dir, { recursive: true, force: true });
		throw error;
	}
}

/** The last run's output stays, for a look at what went wrong. */
async function keepLog(dir: string): Promise<void> {
	await mkdir(STATE_DIR, { recursive: true });
	await copyFile(join(dir, "emulator.log"), join(STATE_DIR, "emulator.log"));
}

/** The process is named by its endpoint. */
async function startMinistack(dir: string, progress: Progress): Promise<Proc> {
	const server = await ministackCommand(progress);
	const port = await freePort();
	const endpoint = `http://localhost:${port}`;
	const home = join(dir, "home");
	const tmp = join(dir, "tmp");
	await mkdir(home);
	await mkdir(tmp);
	return startProc({
		name: endpoint,
		command: server.command,
		args: server.args,
		cwd: dir,
		logFile: join(dir, "emulator.log"),
		env: {
			PATH: CHILD_PATH,
			HOME: home,
			TMPDIR: tmp,
			LANG: "C.UTF-8",
			GATEWAY_PORT: String(port),
			// `localhost`, not 127.0.0.1: queue URLs say it.
			MINISTACK_HOST: "localhost",
			AWS_ENDPOINT_URL: endpoint,
			// A layer carries no AWS SDK; on AWS the runtime has one.
			NODE_PATH: join(ROOT, "node_modules"),
		},
	});
}

async function waitForHealth(endpoint: string, proc: Proc | undefined): Promise<void> {
	const health = `${endpoint.replace(/\/$/, "")}/_localstack/health`;
	await waitFor(
		`the AWS emulator answers at ${health}`,
		async () => (await fetch(health, { signal: AbortSignal.timeout(2_000) })).ok,
		{ deadlineMs: START_DEADLINE_MS, ...(proc === undefined ? {} : { proc }) },
	);
}

function childEnv(dir: string, endpoint: string, own: boolean): Record<string, string> {
	return {
		PATH: CHILD_PATH,
		HOME: process.env.HOME ?? dir,
		// What children leave there goes away with the directory.
		TMPDIR: dir,
		LANG: "C.UTF-8",
		AWS_ENDPOINT_URL: endpoint,
		// CDK caches the account by access key: a key of its own per emulator.
		AWS_ACCESS_KEY_ID: own ? `emu${new URL(endpoint).port}${process.pid}` : (process.env.AWS_ACCESS_KEY_ID ?? "test"),
		AWS_SECRET_ACCESS_KEY: own ? "test" : (process.env.AWS_SECRET_ACCESS_KEY ?? "test"),
		AWS_REGION: "us-east-1",
		AWS_EC2_METADATA_DISABLED: "true",
		CDK_HOME: join(dir, "cdk-home"),
		CDK_DISABLE_LEGACY_EXPORT_WARNING: "1",
	};
}
