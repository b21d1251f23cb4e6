/**
 * `npm run load [-- --sessions N --instances N --seconds N --rate N] [mission | tier1 | nats | redis ...]`: open SSE
 * streams on loopback, notifications to one session each at a steady rate, what the clients see of it. Ends by itself.
 *
 * `mission` is 1,000 sessions of two instances at 100/s through NATS; `tier1` one process without a broker; `nats` and
 * `redis` a fleet, published to from a process of its own. A process here holds as many streams as it may open files.
 * Sessions that move under load are test/chaos/drain.ts, a broker that fails is `npm run bench -- outage`.
 */
import { loadavg } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { streamAt } from "../bench/hop.ts";
import { type ClientPeer, type Latency, type ServerPeer, startClient, startServer } from "../bench/peers.ts";
import { FlagError, readFlags } from "../support/flags.ts";
import { startNatsServers } from "../support/nats.ts";
import { startValkeyServer } from "../support/valkey.ts";
import type { Answer, Order, Setting } from "./instance.ts";

interface Row {
	readonly sessions: number;
	readonly instances: number;
	readonly perSecond: number;
	readonly mostP99Ms: number;
	readonly through: "local" | "nats" | "redis";
}

interface Broker {
	readonly options: Setting["options"];
	stop(): Promise<unknown>;
}

const OPENING_SECONDS = 60;
/** After the last was accepted. */
const LATE_SECONDS = 30;

const ROWS: Readonly<Record<string, Row>> = {
	mission: { sessions: 1_000, instances: 2, perSecond: 100, mostP99Ms: 10, through: "nats" },
	tier1: { sessions: 10_000, instances: 1, perSecond: 1_000, mostP99Ms: 1, through: "local" },
	nats: { sessions: 30_000, instances: 3, perSecond: 1_000, mostP99Ms: 10, through: "nats" },
	redis: { sessions: 30_000, instances: 3, perSecond: 1_000, mostP99Ms: 10, through: "redis" },
};

const USAGE = `usage: npm run load [-- --sessions N --instances N --seconds N --rate N] [${Object.keys(ROWS).join(" | ")} ...]`;

async function startBroker(through: Row["through"]): Promise<Broker> {
	if (through === "local") return { options: { local: {} }, stop: async () => {} };
	if (through === "nats") {
		const servers = await startNatsServers();
		return { options: { nats: { servers: servers.urls, storage: "memory" } }, stop: () => servers.stop() };
	}
	const server = await startValkeyServer();
	return { options: { redis: { url: server.url } }, stop: () => server.stop() };
}

/** A message that never comes ends the run, not only its hope. */
async function within<T>(seconds: number, what: string, promise: Promise<T>): Promise<T> {
	const stop = new AbortController();
	const late = sleep(seconds * 1_000, undefined, { signal: stop.signal }).then(() => {
		throw new Error(`${what}: not within ${seconds} s`);
	});
	try {
		return await Promise.race([promise, late]);
	} finally {
		stop.abort();
		late.catch(() => {});
	}
}

const start = (setting: Setting) => startServer<Order, Answer>("../load/instance.ts", [JSON.stringify(setting)]);

async function load(title: string, row: Row, seconds: number): Promise<boolean> {
	const { sessions, perSecond, through, mostP99Ms } = row;
	const names = Array.from({ length: row.instances }, (_value, index) => `i${index}`);
	const each = Math.floor(sessions / names.length);
	const broker = await startBroker(through);
	const instances: ServerPeer<Order, Answer>[] = [];
	const clients: ClientPeer[] = [];
	const peers: { stop(): Promise<void> }[] = [];
	const weigh = async () => {
		let rss = 0;
		for (const instance of instances) rss += (await instance.order({ do: "weigh" })).rss;
		return rss;
	};
	try {
		for (const name of names) instances.push(await start({ name, options: broker.options }));
		const publisher =
			through === "local"
				? (instances[0] as ServerPeer<Order, Answer>)
				: await start({ name: "publisher", options: { ...broker.options, follow: false } });
		peers.push(...instances, ...(through === "local" ? [] : [publisher]));
		const empty = await weigh();
		const openedAt = performance.now();
		for (const { port } of instances) {
			const client = await within(OPENING_SECONDS, `opening ${each} streams`, startClient(port, each));
			clients.push(client);
			peers.unshift(client);
		}
		const openMs = performance.now() - openedAt;

		const run = async (forSeconds: number): Promise<Latency[]> => {
			const messages = perSecond * forSeconds;
			const total = each * names.length;
			const counts = names.map(() => 0);
			for (let turn = 0; turn < messages; turn += 1) {
				const at = streamAt(turn, total) % names.length;
				counts[at] = (counts[at] ?? 0) + 1;
			}
			const waiting = await Promise.all(clients.map((client, index) => client.expect(counts[index] ?? 0)));
			await publisher.order({ do: "publish", instances: names, sessions: total, messages, perSecond });
			const all = Promise.all(waiting.map(({ received }) => received));
			return within(LATE_SECONDS, "what was accepted did not all come", all);
		};
		await run(2);
		const seen = await run(seconds);
		// Afterwards: weighing throws compiled code away.
		const kbEach = ((await weigh()) - empty) / 1024 / (each * names.length);
		const most = (of: (latency: Latency) => number) => Math.max(...seen.map(of)) / 1e6;
		const p99 = most((latency) => latency.p99);
		console.log(
			`${title.padEnd(8)} ${each * names.length} sessions on ${names.length}, opened in ${(openMs / 1000).toFixed(1)} s, ${kbEach.toFixed(1)} KB each; ` +
				`${perSecond}/s for ${seconds} s: p50 ${most((latency) => latency.p50).toFixed(3)} ms, p99 ${p99.toFixed(3)} ms (under ${mostP99Ms}), ` +
				`longest ${most((latency) => latency.max).toFixed(1)} ms; load ${loadavg()[0]?.toFixed(1)}${p99 < mostP99Ms ? "" : " missed"}`,
		);
		return p99 < mostP99Ms;
	} finally {
		for (const peer of peers) await peer.stop();
		await broker.stop();
	}
}

/** The rows that are asked for, with what was asked of each. */
const plan = readFlags(
	USAGE,
	{
		allowPositionals: true,
		options: {
			sessions: { type: "string" },
			instances: { type: "string" },
			rate: { type: "string" },
			seconds: { type: "string", default: "10" },
		},
	},
	({ values, positionals }) => {
		const titles = positionals.length > 0 ? positionals : Object.keys(ROWS);
		return titles.map((title) => {
			const row = ROWS[title];
			if (row === undefined) throw new FlagError(`no such row: ${title}`);
			const number = (name: keyof typeof values, otherwise: number) => {
				const value = Number(values[name] ?? otherwise);
				if (Number.isSafeInteger(value) && value > 0) return value;
				throw new FlagError(`--${name} is a whole number from 1, not ${values[name]}`);
			};
			const sessions = number("sessions", row.sessions);
			const instances = number("instances", row.instances);
			const asked = { ...row, sessions, instances, perSecond: number("rate", row.perSecond) };
			return { title, row: asked, seconds: number("seconds", 10) };
		});
	},
);

let isMet = true;
for (const { title, row, seconds } of plan) isMet = (await load(title, row, seconds)) && isMet;
process.exitCode = isMet ? 0 : 1;
