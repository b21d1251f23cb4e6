/** The processes of an example behind one round-robin address, over a real nats-server or Valkey. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startNats, startValkey } from "./broker.ts";
import { freePort, freePorts } from "./ports.ts";
import { type Proc, startProc, waitFor } from "./proc.ts";
import { CHILD_PATH, ROOT } from "./root.ts";
import { startRoundRobin } from "./round-robin.ts";

const START_DEADLINE_MS = 30_000;
const EXAMPLES = join(ROOT, "examples");
export const NODE_FLEET = join(EXAMPLES, "node-fleet");

export interface Told {
	readonly ready: boolean;
	readonly pid: number;
	readonly listens: number;
	/** Of the test's own servers. */
	readonly sessions?: number;
	readonly streams?: number;
	readonly servers?: number;
	readonly rss?: number;
}

export interface McpProcess {
	readonly proc: Proc;
	/** Its own address. */
	readonly url: string;
	listens(): Promise<number>;
	/** What it says of itself. */
	told(): Promise<Told>;
	/** kill -9, at once. */
	kill(): Promise<void>;
}

/** How the processes find each other. */
export type BrokerKind = "nats" | "redis";

export interface McpFleetOptions {
	/** The folder under examples, and the program in it. */
	readonly example?: string;
	readonly program?: string;
	/** A module that each process loads before the example's server. */
	readonly preload?: URL;
	/** Default nats. */
	readonly broker?: BrokerKind;
	/** The address of one that runs already, and is not the fleet's to stop. */
	readonly brokerUrl?: string;
	/** For every process. */
	readonly env?: Readonly<Record<string, string>>;
}

export interface McpFleet {
	/** The one address of all, of MCP and of everything. */
	readonly url: string;
	readonly origin: string;
	readonly processes: readonly McpProcess[];
	readonly dir: string;
	readonly env: Readonly<Record<string, string>>;
	/** Ports that the one address sends to, in turn. */
	readonly pool: number[];
	/** One more process, not in the pool: what it is told beside the others' environment, and its port. */
	launch(env?: Readonly<Record<string, string>>): Promise<McpProcess>;
	stop(): Promise<void>;
}

export async function startMcpFleet(size: number, options: McpFleetOptions = {}): Promise<McpFleet> {
	const { example = "node-fleet", program = "server.ts", preload, broker = "nats" } = options;
	const dir = await mkdtemp(join(tmpdir(), "mcp-fanout-fleet-"));
	const cleanups: (() => Promise<unknown>)[] = [() => rm(dir, { recursive: true, force: true })];
	const stop = async () => {
		for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
	};
	try {
		const url = options.brokerUrl ?? (await startBroker(broker, cleanups));
		const address = { [broker === "nats" ? "NATS_URL" : "REDIS_URL"]: url };
		const env = { PATH: CHILD_PATH, ...address, NODE_OPTIONS: "--conditions=mcp-fanout-source" };
		const preloading = preload === undefined ? {} : { NODE_OPTIONS: `${env.NODE_OPTIONS} --import=${preload}` };
		const serverEnv = { ...env, ...preloading, ...options.env };
		const file = join(EXAMPLES, example, program);
		const started: McpProcess[] = [];
		cleanups.push(() => Promise.all(started.map(({ proc }) => proc.stop())));
		const launch = async (port: number, more: Readonly<Record<string, string>> = {}) => {
			const one = startOne(`${example} at ${port}`, file, port, { ...serverEnv, ...more }, dir);
			started.push(one);
			const answers = async () => (await health(one.url)).ok;
			await waitFor(`${one.url} answers`, answers, { deadlineMs: START_DEADLINE_MS, proc: one.proc });
			return one;
		};
		const pool = await freePorts(size);
		const processes = await Promise.all(pool.map((port) => launch(port)));
		const proxy = await startRoundRobin(pool);
		cleanups.push(() => proxy.close());
		return {
			...{ url: `${proxy.url}/mcp`, origin: proxy.url, processes, dir, env, pool, stop },
			launch: async (more) => launch(await freePort(), more),
		};
	} catch (error) {
		await stop();
		throw error;
	}
}

async function startBroker(kind: BrokerKind, cleanups: (() => Promise<unknown>)[]): Promise<string> {
	const { url, stop } = await (kind === "nats" ? startNats() : startValkey());
	cleanups.push(stop);
	return url;
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
	const told = async () => (await (await health(url)).json()) as Told;
	return {
		proc,
		url,
		told,
		listens: async () => (await told()).listens,
		kill: async () => void process.kill((await told()).pid, "SIGKILL"),
	};
}
