/** What the programs that print figures share: numbers from the command line, a fleet of processes, the last lines. */
import { rm } from "node:fs/promises";
import { cpus, loadavg } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { FlagError, readFlags } from "../support/flags.ts";
import type { History } from "../support/history.ts";
import { waitFor } from "../support/proc.ts";
import { STATE_DIR } from "../support/root.ts";
import type { Client } from "./clients.ts";
import { createInstance, type Instance, type Verdict } from "./instances.ts";
import { WORLD_NAMES, type World, type WorldName } from "./world.ts";

export const NAMESPACE = "figures";
export const INSTANCES = 3;
/** Longer than a NATS cluster takes to elect: 4 to 9 s by its own constants. */
const PUBLISH_DEADLINE_MS = 20_000;
const MOST = 1_000_000;
const WHOLE_DEADLINE_MS = 60_000;
const SETTLE_MS = 1_000;
const OPENING_AT_ONCE = 100;

export type Plan<Name extends string> = Readonly<Record<Name, number>> & { readonly world: WorldName };

/** `--world name`, and a whole number for each of the names. */
export function readPlan<Name extends string>(defaults: Readonly<Record<Name, number>>): Plan<Name> {
	const names = Object.keys(defaults) as Name[];
	const text = { type: "string" } as const;
	const flags = names.map((name) => ` [--${name} ${defaults[name]}]`).join("");
	const usage = `usage: node --conditions=mcp-fanout-source <figure>.ts [--world nats-r3]${flags}\n  --world  one of ${WORLD_NAMES.join(", ")}`;
	const options = { world: text, ...Object.fromEntries(names.map((name) => [name, text])) };
	return readFlags(usage, { options }, (parsed) => {
		const values = parsed.values as Partial<Record<string, string>>;
		const world = WORLD_NAMES.find((name) => name === (values.world ?? "nats-r3"));
		if (world === undefined) throw new FlagError(`--world is one of ${WORLD_NAMES.join(", ")}, not ${values.world}`);
		const numbers = names.map((name) => {
			const value = Number(values[name] ?? defaults[name]);
			if (!Number.isSafeInteger(value) || value <= 0 || value > MOST)
				throw new FlagError(`--${name} is from 1 to ${MOST}, not ${values[name]}`);
			return [name, value] as const;
		});
		return { world, ...(Object.fromEntries(numbers) as Record<Name, number>) };
	});
}

export async function openFleet(what: string, world: World, cleanups: (() => unknown)[]): Promise<Instance[]> {
	const logDir = join(STATE_DIR, "chaos-logs", `${what}-${world.name}`);
	await rm(logDir, { recursive: true, force: true });
	const options = { ...world.options(world.ports), timeoutMs: PUBLISH_DEADLINE_MS };
	const instances: Instance[] = [];
	for (const name of ["a", "b", "c"].slice(0, INSTANCES)) {
		const instance = await createInstance({ name, namespaces: [NAMESPACE], options, logDir });
		cleanups.push(() => instance.stop());
		instances.push(instance);
	}
	await Promise.all(instances.map((instance) => instance.start()));
	return instances;
}

/** One client a session, some at a time. */
export async function openSessions(count: number, open: (session: string) => Client): Promise<Client[]> {
	const clients: Client[] = [];
	for (let n = 0; n < count; n += 1) {
		clients.push(open(`s${n}`));
		if (clients.length % OPENING_AT_ONCE === 0)
			await Promise.all(clients.slice(-OPENING_AT_ONCE).map(({ opened }) => opened));
	}
	await Promise.all(clients.map(({ opened }) => opened));
	return clients;
}

/** Waits until nothing is missing, prints what the history says, and tells whether it says nothing. */
export async function judge(history: History, counts: Readonly<Record<Verdict, number>>): Promise<boolean> {
	const from = performance.now();
	const whole = async () => history.missing() === 0 && history.untold() === 0;
	await waitFor("all is whole", whole, { deadlineMs: WHOLE_DEADLINE_MS, everyMs: 200 }).catch(() => {
		// The history names what is missing.
	});
	const wholeMs = Math.round(performance.now() - from);
	await sleep(SETTLE_MS);
	const findings = history.check();
	const count = (kind: string) => findings.filter((finding) => finding.kind === kind).length;
	console.log(`  ${counts.accepted} accepted, ${counts.uncertain} uncertain, ${counts.certain} refused for certain`);
	console.log(
		`  lost ${count("loss")}, twice ${count("duplicate")}, out of order ${count("order")}, leaked ${count("leak")}; ` +
			`told ${history.tells()} times, ${count("told")} without a cause, silent ${count("silent")}`,
	);
	console.log(`  all whole ${wholeMs} ms after the last answer; load average ${loadNow()}`);
	for (const { kind, stream, detail } of findings.slice(0, 10)) console.log(`  FOUND ${kind} on ${stream}: ${detail}`);
	return findings.length === 0;
}

function loadNow(): string {
	return `${loadavg()[0]?.toFixed(1)} on ${cpus().length} cores`;
}

export async function runFigure(figure: (cleanups: (() => unknown)[]) => Promise<boolean>): Promise<void> {
	const cleanups: (() => unknown)[] = [];
	try {
		if (!(await figure(cleanups))) process.exitCode = 1;
	} finally {
		for (const cleanup of cleanups.reverse()) await cleanup();
	}
}
