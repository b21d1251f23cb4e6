/**
 * One server process of the chaos fleet: a fanout per namespace, client streams at `/events/<namespace>/<session>`, and
 * a control port that takes one JSON object a line and answers each with another. Publishes are called in the order of
 * their lines. Plan in CHAOS_PLAN.
 */
import { createServer } from "node:http";
import { createServer as createControl, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import {
	createChannel,
	createFanout,
	type Fanout,
	type FanoutError,
	type FanoutOptions,
	isFanoutError,
} from "mcp-fanout";
import type { Hold } from "mcp-fanout/sessions";
import { systemClock } from "../../lambda/layer/src/core/clock.ts";
import { createIds } from "../../lambda/layer/src/core/ids.ts";
import { createNatsTransport } from "../../lambda/layer/src/transports/nats/index.ts";
import { createRedisTransport } from "../../lambda/layer/src/transports/redis/index.ts";
import { nextVersion } from "./next-version.ts";

export type FleetOptions = Pick<FanoutOptions, "nats" | "redis" | "timeoutMs" | "breaker">;

export interface InstancePlan {
	readonly name: string;
	readonly port: number;
	readonly controlPort: number;
	readonly namespaces: readonly string[];
	readonly options: FleetOptions;
}

export interface Target {
	readonly session?: string;
	readonly topic?: string;
}

export type Command =
	| { readonly n: number; readonly do: "publish"; readonly namespace: string; readonly to: Target; readonly id: string }
	| { readonly n: number; readonly do: "next-version"; readonly namespace: string; readonly topic: string }
	| { readonly n: number; readonly do: "drain"; readonly graceMs: number }
	/** Writes as the owner of a session, claiming it first; `stale` by the hold that it had, whatever came since. */
	| { readonly n: number; readonly do: "own" | "stale"; readonly namespace: string; readonly session: string }
	| { readonly n: number; readonly do: "pid" };

export interface Answer {
	readonly n: number;
	readonly ok: boolean;
	/** The code of what failed; `certain` when nothing can have been accepted. */
	readonly error?: string;
	readonly certain?: boolean;
	readonly pid?: number;
	/** Of several lanes, the one that streams show it from. */
	readonly home?: string | undefined;
	/** Under which claim it was written. */
	readonly epoch?: number;
}

/** Sessions of an instance that is silent for so long may be taken. */
export const LEASE_MS = 1_500;
const RETRY_MS = 250;
const ids = createIds(systemClock);
const say = (text: string) => console.log(`${new Date().toISOString()} ${text}`);

function readPlan(): InstancePlan {
	const text = process.env.CHAOS_PLAN;
	if (text === undefined) throw new Error("CHAOS_PLAN is not set");
	return JSON.parse(text) as InstancePlan;
}

/** Brokers may be away just now: what a supervisor would do by restarting us. */
async function openFanout(namespace: string, options: FleetOptions): Promise<Fanout> {
	for (;;) {
		try {
			const onerror = ({ code, message }: FanoutError) => say(`${namespace}: ${code}: ${message}`);
			const registry = { leaseMs: LEASE_MS };
			return await createFanout({ ...options, namespace, onerror, registry, streams: { maxStreams: 20_000 } });
		} catch (error) {
			say(`no start: ${(error as Error).message}`);
			await sleep(RETRY_MS);
		}
	}
}

function failure(n: number, error: unknown): Answer {
	if (!isFanoutError(error)) return { n, ok: false, error: String(error), certain: false };
	const certain = error.code === "AllBroadcastersFailed" ? error.data?.uncertain === false : true;
	return { n, ok: false, error: error.code, certain };
}

/** The last hold of each session, kept when it is over. */
const holds = new Map<string, Hold>();

async function own(command: Command & { readonly do: "own" | "stale" }, { sessions }: Fanout): Promise<number> {
	const { namespace, session: id, n } = command;
	const session = createChannel("session", id, { namespace });
	const hold = command.do === "own" ? sessions.held(session) : holds.get(session.key);
	if (hold !== undefined) return (await hold.update({ state: { n } })).epoch;
	const claimed = await sessions.claim(session);
	holds.set(session.key, claimed.hold);
	return claimed.hold.epoch;
}

async function publish({ n, to, id }: Command & { readonly do: "publish" }, fanout: Fanout): Promise<Answer> {
	const { targets } = fanout.health();
	const home =
		targets.length < 2 ? {} : { home: (targets.find(({ breaker }) => breaker === "closed") ?? targets[0])?.lane };
	try {
		// The lanes are named in this turn.
		await fanout
			.to(to as { session: string })
			.send({ method: "notifications/message", params: { level: "info", data: id } });
		return { n, ok: true, ...home };
	} catch (error) {
		return { ...failure(n, error), ...home };
	}
}

async function obey(command: Command, fanouts: ReadonlyMap<string, Fanout>, plan: InstancePlan): Promise<Answer> {
	const { n } = command;
	if (command.do === "publish") return publish(command, fanouts.get(command.namespace) as Fanout);
	try {
		if (command.do === "next-version") {
			const parts = { clock: systemClock, ids, instanceId: ids.next() };
			if (plan.options.nats !== undefined) {
				await nextVersion(createNatsTransport(plan.options.nats, parts), command.namespace, command.topic);
			}
			if (plan.options.redis !== undefined) {
				await nextVersion(createRedisTransport(plan.options.redis, parts), command.namespace, command.topic);
			}
		} else if (command.do === "own" || command.do === "stale") {
			return { n, ok: true, epoch: await own(command, fanouts.get(command.namespace) as Fanout) };
		} else if (command.do === "drain") {
			await Promise.all([...fanouts.values()].map((fanout) => fanout.drain({ graceMs: command.graceMs })));
		} else return { n, ok: true, pid: process.pid };
		return { n, ok: true };
	} catch (error) {
		return failure(n, error);
	}
}

function serveControl(socket: Socket, fanouts: ReadonlyMap<string, Fanout>, plan: InstancePlan): void {
	socket.on("error", () => socket.destroy());
	const lines = createInterface({ input: socket });
	// It repeats the socket's own.
	lines.on("error", () => {});
	lines.on("line", async (line) => {
		const answer = await obey(JSON.parse(line) as Command, fanouts, plan);
		if (socket.writable) socket.write(`${JSON.stringify(answer)}\n`);
	});
}

async function main(): Promise<void> {
	const plan = readPlan();
	const opened = await Promise.all(
		plan.namespaces.map(async (namespace) => [namespace, await openFanout(namespace, plan.options)] as const),
	);
	const fanouts = new Map(opened);
	const server = createServer((req, res) => {
		const [, , namespace = "", session = ""] = (req.url ?? "").split("?")[0]?.split("/") ?? [];
		const fanout = fanouts.get(namespace);
		if (fanout === undefined) return res.writeHead(404).end();
		const topics = new URL(req.url ?? "", "http://localhost").searchParams.getAll("topic");
		return fanout.sse(req, res, { session, topics, all: false });
	});
	server.listen(plan.port, "127.0.0.1", 4_096);
	createControl((socket) => serveControl(socket, fanouts, plan)).listen(plan.controlPort, "127.0.0.1");
	say(`${plan.name} is up`);
}

await main();
