/**
 * Real nats-servers for tests: one, or a cluster of three (two keep no quorum), each node with its own port and data
 * directory. A node can be killed without a chance to say goodbye, held still, and started again where it was.
 */
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { holdStill } from "./hold-still.ts";
import { freePorts } from "./ports.ts";
import { type Proc, startProc, waitFor } from "./proc.ts";
import { silent } from "./progress.ts";
import { CHILD_PATH } from "./root.ts";
import { natsCommand } from "./servers.ts";

const START_DEADLINE_MS = 30_000;

export interface NatsNode {
	readonly name: string;
	readonly url: string;
	/** kill -9, at once. */
	kill(): Promise<void>;
	/** Resolves when it stands still. */
	freeze(): Promise<void>;
	thaw(): void;
	/** Again, on the same ports and data. */
	start(): Promise<void>;
	/** Its own JSON about itself, as of the monitoring port. */
	monitor(path: string): Promise<unknown>;
}

export interface NatsServers {
	readonly nodes: readonly NatsNode[];
	readonly urls: string[];
	stop(): Promise<void>;
}

interface NodePlan {
	readonly name: string;
	readonly port: number;
	readonly monitorPort: number;
	readonly dir: string;
	readonly args: readonly string[];
}

export async function startNatsServers(size: 1 | 3 = 1, extra: readonly string[] = []): Promise<NatsServers> {
	const dir = await mkdtemp(join(tmpdir(), "mcp-fanout-nats-"));
	const ports = await freePorts(size * 3);
	const at = (index: number) => ports[index] as number;
	const routes = Array.from({ length: size }, (_, index) => `nats://127.0.0.1:${at(2 * size + index)}`).join(",");
	const plans = Array.from({ length: size }, (_, index): NodePlan => {
		const name = `n${index + 1}`;
		const cluster =
			size === 1
				? []
				: ["--cluster_name", "test", "--cluster", `nats://127.0.0.1:${at(2 * size + index)}`, "--routes", routes];
		const args = [...cluster, ...extra];
		return { name, port: at(index), monitorPort: at(size + index), dir: join(dir, name), args };
	});
	const nodes = plans.map(nodeOf);
	const stop = async () => {
		await Promise.all(nodes.map((node) => node.kill()));
		await rm(dir, { recursive: true, force: true });
	};
	try {
		await Promise.all(nodes.map((node) => node.start()));
	} catch (error) {
		await stop();
		throw error;
	}
	return { nodes, urls: nodes.map(({ url }) => url), stop };
}

function nodeOf({ name, port, monitorPort, dir, args }: NodePlan): NatsNode {
	let proc: Proc | undefined;
	const pidFile = join(dir, "server.pid");
	const pid = () => Number(readFileSync(pidFile, "utf8"));
	const monitor = async (path: string): Promise<unknown> => {
		const response = await fetch(`http://127.0.0.1:${monitorPort}${path}`, { signal: AbortSignal.timeout(2_000) });
		return response.ok ? response.json() : undefined;
	};
	return {
		name,
		url: `nats://127.0.0.1:${port}`,
		monitor,
		async kill() {
			if (proc?.running() !== true) return;
			try {
				process.kill(pid(), "SIGKILL");
			} catch (error) {
				if (!["ESRCH", "ENOENT"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
			}
			await proc.stop();
		},
		freeze: () => holdStill(pid()),
		thaw: () => void process.kill(pid(), "SIGCONT"),
		async start() {
			const { command, args: first } = await natsCommand(silent);
			const own = ["--addr", "127.0.0.1", "--port", String(port), "--http_port", String(monitorPort)];
			const store = ["--jetstream", "--store_dir", dir, "--server_name", name, "--pid", pidFile];
			await rm(pidFile, { force: true });
			proc = startProc({
				name: `nats server ${name}`,
				command,
				args: [...first, ...own, ...store, ...args],
				cwd: tmpdir(),
				env: { PATH: CHILD_PATH, HOME: dir, TMPDIR: tmpdir(), LANG: "C.UTF-8" },
				logFile: join(dir, "server.log"),
			});
			const ready = async () => (await monitor("/healthz?js-enabled-only=false")) !== undefined;
			await waitFor(`${name} is healthy`, ready, { deadlineMs: START_DEADLINE_MS, proc });
		},
	};
}
