/** NATS with JetStream and Valkey, each on a free port with a private data directory. Later transports' tests use them. */
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./ports.ts";
import { startProc, waitFor } from "./proc.ts";
import { type Progress, silent } from "./progress.ts";
import { CHILD_PATH } from "./root.ts";
import { natsCommand, type ServerCommand, valkeyCommand } from "./servers.ts";

const START_DEADLINE_MS = 20_000;

export interface Broker {
	readonly host: string;
	readonly port: number;
	readonly url: string;
	stop(): Promise<void>;
}

export async function startNats(progress: Progress = silent): Promise<Broker> {
	return start("nats", await natsCommand(progress), (port, dir) => [
		...["--addr", "127.0.0.1", "--port", String(port), "--jetstream", "--store_dir", dir],
	]);
}

export async function startValkey(progress: Progress = silent): Promise<Broker> {
	return start("redis", await valkeyCommand(progress), (port, dir) => [
		...[
			"--bind",
			"127.0.0.1",
			"--port",
			String(port),
			"--dir",
			dir,
			"--save",
			"",
			"--appendonly",
			"no",
			"--enable-debug-command",
			"yes",
		],
	]);
}

async function start(
	scheme: string,
	server: ServerCommand,
	args: (port: number, dir: string) => string[],
): Promise<Broker> {
	const dir = await mkdtemp(join(tmpdir(), `mcp-fanout-${scheme}-`));
	const port = await freePort();
	const proc = startProc({
		name: `${scheme} server`,
		command: server.command,
		args: [...server.args, ...args(port, dir)],
		cwd: dir,
		env: { PATH: CHILD_PATH, HOME: dir, TMPDIR: dir, LANG: "C.UTF-8" },
		logFile: join(dir, "server.log"),
	});
	const stop = async () => {
		await proc.stop();
		await rm(dir, { recursive: true, force: true });
	};
	try {
		await waitFor(`${scheme} listens on ${port}`, () => accepts(port), { deadlineMs: START_DEADLINE_MS, proc });
	} catch (error) {
		await stop();
		throw error;
	}
	return { host: "127.0.0.1", port, url: `${scheme}://127.0.0.1:${port}`, stop };
}

function accepts(port: number): Promise<boolean> {
	return new Promise((resolve) => {
		const socket = connect(port, "127.0.0.1", () => {
			socket.destroy();
			resolve(true);
		});
		socket.on("error", () => resolve(false));
	});
}
