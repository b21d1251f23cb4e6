/** What the server says of itself: whether it is one that this transport can use, and what it does with writes. */
import { type Clock, pause } from "../../core/clock.ts";
import { bare, FanoutError } from "../../core/errors.ts";
import type { Durability } from "../../core/transport.ts";
import { type Client, isCluster } from "./client.ts";
import { primaries } from "./cluster.ts";

const LEAST = { single: [6, 2], cluster: [7, 0] } as const;
const LOGIN = /WRONGPASS|NOAUTH|NOPERM|invalid (username|password)/i;

/** Resolves when the client is ready; a login that is refused fails at once, everything else at the deadline. */
export async function waitReady(
	client: Client,
	endpoint: string,
	timeoutMs: number,
	clock: Clock,
	signal: AbortSignal,
): Promise<void> {
	if (client.status === "ready") return;
	let last: unknown;
	const settled = new AbortController();
	const onError = (error: unknown) => {
		last = bare(error);
		if (LOGIN.test(String(error))) settled.abort();
	};
	const onReady = () => settled.abort();
	const onOuter = () => settled.abort();
	client.on("error", onError);
	client.once("ready", onReady);
	signal.addEventListener("abort", onOuter, { once: true });
	try {
		// It goes on dialling by itself when the first attempt fails.
		if (client.status === "wait") client.connect().catch(onError);
		if (!signal.aborted) await pause(clock, timeoutMs, settled.signal);
	} finally {
		client.removeListener("error", onError);
		client.removeListener("ready", onReady);
		signal.removeEventListener("abort", onOuter);
	}
	if ((client.status as string) === "ready") return;
	// A server without TLS waits for the end of what it takes for a command: neither side ever fails.
	const silence = isTls(client) ? ": nothing answered in TLS there" : "";
	const detail = last instanceof Error ? `: ${reasonOf(last)}` : silence;
	const refused = LOGIN.test(detail);
	throw new FanoutError(
		refused ? "TransportRefused" : "TransportUnavailable",
		refused
			? `redis at ${endpoint} refused the login${detail}`
			: `redis at ${endpoint} was not ready within ${timeoutMs} ms${detail}`,
		{ cause: last ?? signal.reason, retryable: !refused, data: { endpoint, timeoutMs } },
	);
}

function isTls({ options }: Client): boolean {
	const { tls } = "redisOptions" in options ? (options.redisOptions ?? {}) : (options as { tls?: unknown });
	return tls !== undefined;
}

/** A cluster's error hides what happened to its nodes. */
function reasonOf(error: Error): string {
	const inner = (error as { lastNodeError?: unknown }).lastNodeError;
	return inner instanceof Error ? `${error.message} ${inner.message}` : error.message;
}

export async function checkVersion(client: Client, endpoint: string): Promise<void> {
	const cluster = isCluster(client);
	const [major, minor] = cluster ? LEAST.cluster : LEAST.single;
	const [first] = primaries(client);
	const info = (await first?.info("server")) ?? "";
	const [, found = "unknown"] = /redis_version:(\S+)/.exec(info) ?? [];
	const [have = 0, haveMinor = 0] = found.split(".").map(Number);
	if (have > major || (have === major && haveMinor >= minor)) return;
	const why = cluster ? "a cluster needs sharded publish" : "logs are trimmed by offset";
	throw new FanoutError(
		"ConfigInvalid",
		`redis at ${endpoint} is ${found}, at least ${major}.${minor} is needed: ${why}`,
	);
}

/**
 * What an acknowledgement means without WAIT: `disk` only where every primary syncs its file before it answers; where
 * nobody may ask, the weaker.
 */
export async function durabilityOf(client: Client): Promise<Durability> {
	const answers = await Promise.all(
		primaries(client).map(async (node) => {
			try {
				const text = (await node.config("GET", "append*")) as string[];
				const value = (name: string) => text[text.indexOf(name) + 1];
				return value("appendonly") === "yes" && value("appendfsync") === "always";
			} catch {
				return false;
			}
		}),
	);
	return answers.length > 0 && answers.every(Boolean) ? "disk" : "memory";
}
