/**
 * Prints a figure: all sessions of one process are drained to two others while notifications go on. Usage: node drain.ts
 * [--world nats-r3] [--sessions 10000] [--rate 1000] [--grace 8000] [--seed 1]; `grace` is what `drain` is given, in ms.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { createHistory } from "../support/history.ts";
import { waitFor } from "../support/proc.ts";
import { createRandom } from "../support/random.ts";
import { createClient } from "./clients.ts";
import { judge, NAMESPACE, openFleet, openSessions, readPlan, runFigure } from "./figure.ts";
import type { Instance } from "./instances.ts";
import { createLags } from "./lags.ts";
import { startLoad } from "./load.ts";
import { openWorld } from "./worlds.ts";

/** The load goes on alone for so long before and after. */
const AROUND_MS = 3_000;
/** Clients that give up on a busy server make it busier. */
const OPEN_MS = 60_000;
const DRAIN_DEADLINE_MS = 120_000;

async function figure(cleanups: (() => unknown)[]): Promise<boolean> {
	const plan = readPlan({ sessions: 10_000, rate: 1_000, grace: 8_000, seed: 1 });
	const { sessions, rate, grace } = plan;
	const random = createRandom(plan.seed);
	const world = await openWorld(plan.world);
	cleanups.push(() => world.stop());
	const instances = await openFleet("drain", world, cleanups);
	const [from, ...others] = instances as [Instance, ...Instance[]];
	const history = createHistory();
	const lags = createLags();
	let ports: readonly number[] = [from.port];
	const clients = await openSessions(sessions, (id) => {
		const spec = { id, namespace: NAMESPACE, channels: [`session:${id}`], place: "fleet" };
		const own = { history, random, ports: () => ports, maxBackoffMs: 50, openWithinMs: OPEN_MS, shown: lags.shown };
		const client = createClient({ ...spec, path: `/events/${NAMESPACE}/${id}` }, own);
		cleanups.push(() => client.close());
		return client;
	});
	console.log(`${world.name}: ${sessions} sessions drained to two processes under ${rate}/s, grace ${grace} ms`);
	const load = startLoad({
		...{ instances, history, random, namespaces: [NAMESPACE], perSecond: rate, maxInFlight: 20_000 },
		target: () => ({ session: `s${random.below(sessions)}` }),
		sent: (id, namespace, { session = "" }) => lags.sent(id, world.partOf(namespace, session)),
		answered: lags.answered,
	});
	await sleep(AROUND_MS);
	ports = others.map(({ port }) => port);
	const began = performance.now();
	const drained = from.ask({ do: "drain", graceMs: grace }).then(() => performance.now() - began);
	const moved = async () => clients.every((client) => client.resumes > 0 && client.isWhole());
	await waitFor("every client stands elsewhere", moved, { deadlineMs: DRAIN_DEADLINE_MS, everyMs: 20 });
	const movedMs = performance.now() - began;
	const drainedMs = await drained;
	await sleep(AROUND_MS);
	await load.stop();
	const isClean = await judge(history, load.counts);
	const reasons = Map.groupBy(
		clients.flatMap(({ reasons }) => reasons),
		(reason) => reason,
	);
	const ends = [...reasons].map(([reason, all]) => `${reason} ${all.length}`).join(", ");
	console.log(
		`  drain() took ${Math.round(drainedMs)} ms; all ${sessions} whole elsewhere after ${Math.round(movedMs)} ms`,
	);
	console.log(`  streams ended with: ${ends}; resumes ${clients.reduce((sum, { resumes }) => sum + resumes, 0)}`);
	for (const line of lags.lines()) console.log(`  ${line}`);
	return isClean;
}

await runFigure(figure);
