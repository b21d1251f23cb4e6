/**
 * One chaos run: brokers, a fleet of server processes, clients that roam between them, a steady load, and the faults
 * that the seed drew. When everything is whole again the history decides.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createHistory, type Finding, type History } from "../support/history.ts";
import { waitFor } from "../support/proc.ts";
import { createRandom, type Random } from "../support/random.ts";
import { STATE_DIR } from "../support/root.ts";
import { type Client, createClient } from "./clients.ts";
import { perform, type Stage } from "./faults.ts";
import { createInstance, type Instance, type Verdict } from "./instances.ts";
import type { Link } from "./link.ts";
import { startLoad } from "./load.ts";
import { createOwners } from "./owners.ts";
import { describeFault, drawSchedule, FAULT_KINDS, type FaultKind, type Planned } from "./schedule.ts";
import { startOwning } from "./stale-owner.ts";
import type { StoredTwice } from "./stored.ts";
import { UNFIT_FAULTS, type World, type WorldName } from "./world.ts";
import { openLinks, openWorld } from "./worlds.ts";

export interface ChaosOptions {
	readonly world: WorldName;
	readonly seed: number;
	/** How long faults go on; starting, healing and judging come on top. */
	readonly forMs: number;
	readonly kinds?: readonly FaultKind[];
	readonly instances?: number;
	readonly sessions?: number;
	readonly perSecond?: number;
	/** Plants a bug: clients come back without their cursor. */
	readonly forgetful?: boolean;
	/** How long everything may take to be whole after the last fault. */
	readonly wholeWithinMs?: number;
	say(text: string): void;
}

export interface ChaosResult {
	readonly findings: readonly Finding[];
	/** Looked for when anything was found. */
	readonly storedTwice: readonly StoredTwice[];
	readonly counts: Readonly<Record<Verdict, number>>;
	readonly faults: readonly Planned[];
	readonly resumes: number;
	/** Deliveries that the links lost, repeated or delayed. */
	readonly mangled: number;
	/** How often streams were told that something is missing. */
	readonly tells: number;
	/** Copies shown before their lane had them. */
	readonly early: number;
	/** Writes as owners of sessions, and claims after the first ones. */
	readonly owning: { readonly writes: number; readonly takeovers: number };
	/** What a stale owner did. */
	readonly stale: readonly string[];
	/** From the end of the last fault until nothing was missing; Infinity when something stayed missing. */
	readonly wholeAfterMs: number;
}

type Cleanup = () => unknown;

const NAMESPACES = ["one", "two"] as const;
const TOPIC = "news";
const TOPIC_SHARE = 0.1;
/** One client in so many is cut at any moment of roaming. */
const ROAM_MS = 150;
const OPEN_DEADLINE_MS = 30_000;
const HEAL_DEADLINE_MS = 60_000;
const WHOLE_DEADLINE_MS = 30_000;
const SETTLE_MS = 1_000;

export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
	const cleanups: Cleanup[] = [];
	try {
		return await play(options, cleanups);
	} finally {
		for (const cleanup of cleanups.reverse()) await cleanup();
	}
}

/** What is asked for, without what says nothing in this world. */
function kindsOf({ world, kinds = FAULT_KINDS }: ChaosOptions): readonly FaultKind[] {
	return kinds.filter((kind) => !UNFIT_FAULTS[world].includes(kind));
}

async function play(options: ChaosOptions, cleanups: Cleanup[]): Promise<ChaosResult> {
	const { seed, forMs, say, instances: count = 3 } = options;
	const kinds = kindsOf(options);
	const faults = drawSchedule({ seed, forMs, instances: count, kinds });
	// Apart from the schedule's: how much the load draws depends on how fast the machine is.
	const random = createRandom(seed + 1);
	const logDir = join(STATE_DIR, "chaos-logs", options.world);
	await rm(logDir, { recursive: true, force: true });
	const world = await openWorld(options.world);
	cleanups.push(() => world.stop());
	const { instances, links } = await openFleet(world, count, logDir, random, cleanups);
	const history = createHistory();
	const clients = openClients(options, instances, history, random);
	cleanups.push(() => {
		for (const client of clients) client.close();
	});
	await within(OPEN_DEADLINE_MS, "every client is open", Promise.all(clients.map(({ opened }) => opened)));
	const sessions = [...new Set(clients.map(({ plan }) => plan.channels[0]?.slice("session:".length) as string))];
	const load = startLoad({
		...{ instances, history, random, namespaces: NAMESPACES, maxInFlight: 2_000 },
		perSecond: options.perSecond ?? 200,
		target: () => (random.next() < TOPIC_SHARE ? { topic: TOPIC } : { session: random.pick(sessions) }),
	});
	const roaming = setInterval(() => random.pick(clients).cut(), ROAM_MS);
	cleanups.push(() => clearInterval(roaming));
	const owners = createOwners();
	const fleet = { instances, links, clients, namespaces: NAMESPACES, topic: TOPIC };
	const stage = { ...fleet, world, history, owners, random, inTurn: createTurns() };
	const stopOwning = kinds.includes("stale-owner") ? startOwning(stage) : () => {};
	cleanups.push(stopOwning);
	await playFaults(faults, forMs, stage, say);
	clearInterval(roaming);
	stopOwning();
	await load.stop();
	const wholeAfterMs = await untilWhole(history, clients, options.wholeWithinMs ?? WHOLE_DEADLINE_MS);
	await sleep(SETTLE_MS);
	const resumes = clients.reduce((sum, client) => sum + client.resumes, 0);
	const mangled = links.flat().reduce((sum, link) => sum + link.mangled, 0);
	const { counts } = load;
	const findings = history.check();
	const storedTwice = findings.length === 0 ? [] : await world.storedTwice();
	const early = clients.reduce((sum, client) => sum + client.early, 0);
	const owning = { writes: owners.writes, takeovers: owners.takeovers };
	const seen = { resumes, mangled, tells: history.tells(), early, owning, wholeAfterMs };
	return { findings, storedTwice, stale: owners.check(), counts, faults, ...seen };
}

async function openFleet(
	world: World,
	count: number,
	logDir: string,
	random: Random,
	cleanups: Cleanup[],
): Promise<{ instances: Instance[]; links: (readonly Link[])[] }> {
	const links: (readonly Link[])[] = [];
	const instances: Instance[] = [];
	for (let n = 0; n < count; n += 1) {
		const own = await openLinks(world, random);
		links.push(own);
		cleanups.push(() => Promise.all(own.map((link) => link.close())));
		const name = String.fromCharCode("a".charCodeAt(0) + n);
		const fleet = world.options(own.map(({ port }) => port));
		const instance = await createInstance({ name, namespaces: NAMESPACES, options: fleet, logDir });
		instances.push(instance);
		cleanups.push(() => instance.stop());
	}
	await Promise.all(instances.map((instance) => instance.start()));
	return { instances, links };
}

function openClients(
	{ sessions = 12, forgetful = false }: ChaosOptions,
	instances: readonly Instance[],
	history: History,
	random: Random,
): Client[] {
	const ports = () => instances.filter((instance) => instance.isUp()).map(({ port }) => port);
	return NAMESPACES.flatMap((namespace) =>
		Array.from({ length: sessions }, (_, n) => {
			const channels = [`session:s${n}`, `topic:${TOPIC}`];
			const path = `/events/${namespace}/s${n}?topic=${TOPIC}`;
			const plan = { id: `${namespace}/s${n}`, namespace, channels, place: "fleet", path };
			return createClient(plan, { history, random, ports, maxBackoffMs: 300, forgetful });
		}),
	);
}

function createTurns(): Stage["inTurn"] {
	let last: Promise<unknown> = Promise.resolve();
	return (trouble) => {
		const mine = last.then(trouble);
		// A failure is told where this one is awaited; the next only waits.
		last = mine.catch(() => {});
		return mine;
	};
}

async function playFaults(faults: readonly Planned[], forMs: number, stage: Stage, say: ChaosOptions["say"]) {
	const from = performance.now();
	const under: Promise<void>[] = [];
	for (const fault of faults) {
		await sleep(Math.max(0, fault.atMs - (performance.now() - from)));
		say(`${(fault.atMs / 1_000).toFixed(1)} s: ${describeFault(fault)}`);
		const done = perform(fault, stage);
		done.catch(() => {
			// Awaited below; until then a failure is nobody's unhandled rejection.
		});
		under.push(done);
	}
	await sleep(Math.max(0, forMs - (performance.now() - from)));
	await within(HEAL_DEADLINE_MS, "every fault is over", Promise.all(under));
}

async function untilWhole(history: History, clients: readonly Client[], deadlineMs: number): Promise<number> {
	const from = performance.now();
	const whole = async () =>
		clients.every((client) => client.isWhole()) && history.missing() === 0 && history.untold() === 0;
	try {
		await waitFor("everything arrived", whole, { deadlineMs, everyMs: 50 });
		return performance.now() - from;
	} catch {
		// The history names what is missing.
		return Number.POSITIVE_INFINITY;
	}
}

async function within<T>(ms: number, what: string, work: Promise<T>): Promise<T> {
	const late = new AbortController();
	const deadline = sleep(ms, undefined, { signal: late.signal }).then(() => {
		throw new Error(`${what}: not within ${ms} ms`);
	});
	try {
		return await Promise.race([work, deadline]);
	} finally {
		deadline.catch(() => {});
		late.abort();
	}
}
