/**
 * Prints a figure: the broker that leads is killed -9 again and again under a steady load through three processes.
 * Usage: node failover.ts [--world nats-r3] [--kills 10] [--seconds 60] [--sessions 1000] [--rate 300] [--seed 1].
 * To a tenth of the sessions nothing is sent until the last kill: a lost end of theirs shows no hole.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { createHistory } from "../support/history.ts";
import { createRandom } from "../support/random.ts";
import { type Client, createClient } from "./clients.ts";
import { INSTANCES, judge, NAMESPACE, openFleet, openSessions, readPlan, runFigure } from "./figure.ts";
import { createLags } from "./lags.ts";
import { startLoad } from "./load.ts";
import { openWorld } from "./worlds.ts";

const DOWN_MS = 500;

async function figure(cleanups: (() => unknown)[]): Promise<boolean> {
	const plan = readPlan({ kills: 10, seconds: 60, sessions: 1_000, rate: 300, seed: 1 });
	const { kills, seconds, sessions, rate } = plan;
	const random = createRandom(plan.seed);
	const world = await openWorld(plan.world);
	cleanups.push(() => world.stop());
	const instances = await openFleet("failover", world, cleanups);
	const history = createHistory();
	const lags = createLags();
	const ports = instances.map(({ port }) => port);
	const open = (id: string): Client => {
		const spec = { id, namespace: NAMESPACE, channels: [`session:${id}`], place: "fleet" };
		const own = { history, random, ports: () => ports, maxBackoffMs: 200, shown: lags.shown };
		const client = createClient({ ...spec, path: `/events/${NAMESPACE}/${id}` }, own);
		cleanups.push(() => client.close());
		return client;
	};
	await openSessions(sessions, open);
	let quiet = Math.floor(sessions / 10);
	console.log(
		`${world.name}: the leader killed -9 ${kills} times in ${seconds} s, ${sessions} sessions (${quiet} quiet), ` +
			`${rate}/s through ${INSTANCES} processes, seed ${plan.seed}`,
	);
	const load = startLoad({
		...{ instances, history, random, namespaces: [NAMESPACE], perSecond: rate, maxInFlight: 20_000 },
		target: () => ({ session: `s${quiet + random.below(sessions - quiet)}` }),
		sent: (id, namespace, { session = "" }) => lags.sent(id, world.partOf(namespace, session)),
		answered: lags.answered,
	});
	const started = performance.now();
	const until = (ms: number) => sleep(Math.max(0, started + ms - performance.now()));
	for (let kill = 0; kill < kills; kill += 1) {
		await until(((kill + 0.5) * seconds * 1_000) / kills);
		const broker = await world.leader(random);
		await broker.kill();
		if (world.forgets) history.lost();
		await sleep(DOWN_MS);
		await broker.start();
	}
	quiet = 0;
	await until(seconds * 1_000);
	await load.stop();
	const isClean = await judge(history, load.counts);
	for (const line of lags.lines()) console.log(`  ${line}`);
	return isClean;
}

await runFigure(figure);
