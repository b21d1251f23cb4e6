/** The processes of an example behind one round-robin address, over a real nats-server. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startNats } from "./broker.ts";
import { freePorts } from "./ports.ts";
import { type Proc, startProc, waitFor } from "./proc.ts";
import { CHILD_PATH, ROOT } from "./root.ts";
import { startRoundRobin } from "./round-robin.ts";

const START_DEADLINE_MS = 30_000;
const EXAMPLES = join(ROOT, "examples");
export const NODE_FLEET = join(EXAMPLES, "node-fleet");

export interface McpProcess {
	readonly proc: Proc;
	/** Its own address. */
	readonly url: string;
	listens(): Promise<number>;
	/** kill -9, at once. */
	kill(): Promise<void>;
}

export interface McpFleetOptions {
	/** The folder under examples, and the program in it. */
	readonly example?: string;
	readonly program?: string;
	/** A module that each process loads before the example's server. */
	readonly preload?: URL;
}

export interface McpFleet {
	/** The one address of all, of MCP and of everything. */
	readonly url: string;
	readonly origin: string;
	readonly processes: readonly McpProcess[];
	readonly dir: string;
	readonly env: Readonly<Record<string, string>>;
	stop(): Promise<void>;
}

export async function startMcpFleet(size: number, options: McpFleetOptions = {}): Promise<McpFleet> {
	const { example = "node-fleet", program = "server.ts", preload } = options;
	const dir = await mkdtemp(join(tmpdir(), "mcp-fanout-fleet-"));
	const cleanups: (() => Promise<unknown>)[] = [() => rm(dir, { recursive: true, force: true })];
	const stop = async () => {
		for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
	};
	try {
		const nats = await startNats();
		cleanups.push(() => nats.stop());
		const env = { PATH: CHILD_PATH, NATS_URL: nats.url, NODE_OPTIONS: "--conditions=mcp-fanout-source" };
		const serverEnv = preload === undefined ? env : { ...env, NODE_OPTIONS: `${env.NODE_OPTIONS} --import=${preload}` };
		const ports = await freePorts(size);
		const processes = ports.map((port, index) =>
			startOne(`${example} ${index + 1}`, join(EXAMPLES, example, program), port, serverEnv, dir),
		);
		cleanups.push(() => Promise.all(processes.map(({ proc }) => proc.stop())));
		const answers = async ({ url }: McpProcess) => (await health(url)).ok;
		await Promise.all(
			processes.map((one) =>
				waitFor(`${one.url} answers`, () => answers(one), { deadlineMs: START_DEADLINE_MS, proc: one.proc }),
			),
		);
		const proxy = await startRoundRobin(ports);
		cleanups.push(() => proxy.close());
		return { url: `${proxy.url}/mcp`, origin: proxy.url, processes, dir, env, stop };
	} catch (error) {
		await stop();
		throw error;
	}
}

const health = (url: string) => fetch(`${url}/health`, { signal: AbortSignal.timeout(2_000) });

function startOne(
	name: string,
	program: string,
	port: number,
	env: Readonly<Record<string, string>>,
	dir: string,
): McpProcess {
	const proc = startProc({
		name,
		command: process.execPath,
		args: [program],
		cwd: ROOT,
		env: { ...env, PORT: String(port) },
		logFile: join(dir, `${port}.log`),
	});
	const url = `http://localhost:${port}`;
	const told = async () => (await (await health(url)).json()) as { listens: number; pid: number };
	return {
		proc,
		url,
		listens: async () => (await told()).listens,
		kill: async () => void process.kill((await told()).pid, "SIGKILL"),
	};
}
