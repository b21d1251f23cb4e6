/** The processes of a bench: a server driven by orders, and a light client in C, or in JavaScript without a compiler. */
import { type ChildProcess, execFileSync, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const NODE_FLAGS = ["--conditions=mcp-fanout-source", "--expose-gc"];

export interface ServerPeer<O, A> {
	readonly port: number;
	/** One at a time. */
	order(order: O): Promise<A>;
	stop(): Promise<void>;
}

export interface ClientPeer {
	/** Resolves once the client counts; `received` when all of them came. */
	expect(messages: number): Promise<{ received: Promise<Latency> }>;
	stop(): Promise<void>;
}

/** Nanoseconds. */
export interface Latency {
	readonly p50: number;
	readonly p99: number;
	readonly max: number;
}

async function stopChild(child: ChildProcess): Promise<void> {
	if (child.exitCode !== null || child.signalCode !== null) return;
	const gone = once(child, "exit");
	child.kill("SIGKILL");
	await gone;
}

/** Starts a server of orders of type O and answers of type A; it says its port first. */
export async function startServer<O extends object, A>(
	file: string,
	args: readonly string[],
): Promise<ServerPeer<O, A>> {
	const child = fork(here(file), args, { execArgv: NODE_FLAGS, stdio: ["ignore", "inherit", "inherit", "ipc"] });
	const [port] = (await once(child, "message")) as [number];
	return {
		port,
		async order(order) {
			const over = new AbortController();
			const answer = once(child, "message", { signal: over.signal });
			child.send(order);
			// One that is gone answers nothing: the bench ends instead of waiting.
			const gone = once(child, "exit", { signal: over.signal }).then(([code]) => {
				throw new Error(`${file} ended with ${code}`);
			});
			try {
				return ((await Promise.race([answer, gone])) as [A])[0];
			} finally {
				over.abort();
				for (const promise of [answer, gone]) promise.catch(() => {});
			}
		},
		async stop() {
			const gone = once(child, "exit");
			child.disconnect();
			await gone;
		},
	};
}

/** Undefined before the first try, empty when there is no compiler. */
let compiled: string | undefined;

/** The C client's path, or none when nothing here compiles it. */
export function compileClient(): string | undefined {
	if (compiled !== undefined) return compiled === "" ? undefined : compiled;
	const folder = mkdtempSync(join(tmpdir(), "mcp-fanout-bench-"));
	process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
	const out = join(folder, "client");
	try {
		execFileSync("cc", ["-O2", "-o", out, here("client.c")], { stdio: ["ignore", "ignore", "pipe"] });
	} catch (error) {
		console.log(`no C client (${(error as Error).message.split("\n")[0]}): the JavaScript client costs more`);
		compiled = "";
		return undefined;
	}
	compiled = out;
	return out;
}

/** Opens SSE streams, or WebSockets that talk socket.io. */
export async function startClient(
	port: number,
	streams: number,
	talks: "sse" | "socket.io" = "sse",
): Promise<ClientPeer> {
	const native = compileClient();
	const [command, args] = native === undefined ? [process.execPath, [here("client.ts")]] : [native, []];
	const child = spawn(command, [...args, String(port), String(streams), talks], { stdio: ["pipe", "pipe", "inherit"] });
	const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
	const next = async (word: string): Promise<string[]> => {
		const { value, done } = await lines.next();
		if (done === true || !value.startsWith(word)) throw new Error(`the client said ${value ?? "goodbye"}, not ${word}`);
		return value.split(" ");
	};
	await next("open");
	return {
		async expect(messages) {
			child.stdin.write(`expect ${messages}\n`);
			await next("ready");
			const received = next("done").then(([, , p50, p99, max]) => ({
				p50: Number(p50),
				p99: Number(p99),
				max: Number(max),
			}));
			return { received };
		},
		stop: () => stopChild(child),
	};
}
