/**
 * 2,000 notifications to 20 sessions over two regions, publishers in both, clients cut and resumed at random while they
 * come; and as many to sessions of the same names in another namespace. The history checker finds nothing.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { createFanout, type Fanout } from "mcp-fanout";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { Cell } from "../support/cell.ts";
import { type Cells, openCells } from "../support/cells.ts";
import { type Fleet, type Site, startFleet } from "../support/fleet.ts";
import { createHistory, type History } from "../support/history.ts";
import { waitFor } from "../support/proc.ts";
import { createRandom, type Random, seedFromEnv } from "../support/random.ts";
import { createSseClient, type SseClient } from "../support/sse-client.ts";

const SESSIONS = 20;
const NOTIFICATIONS = 2_000;
/** The emulator takes one request at a time, of all publishers and functions. */
const PUBLISH_TIMEOUT_MS = 60_000;
const IN_OTHER_NAMESPACE = 200;
const PUBLISHERS_PER_REGION = 2;
/** So many sends of one publisher are under way at once. */
const IN_FLIGHT = 16;
/** Publishers wait while so many have not arrived: the emulator carries one batch at a time. */
const MAX_BACKLOG = 200;
const ARRIVAL_DEADLINE_MS = 120_000;
const SETTLE_MS = 2_000;
const seed = seedFromEnv();

interface Client {
	readonly session: string;
	readonly sse: SseClient;
}

describe(`2,000 notifications to 20 sessions (seed ${seed}, FANOUT_SEED sets it)`, () => {
	let cells: Cells;
	let fleet: Fleet;
	const cleanups: (() => Promise<unknown>)[] = [];

	beforeAll(async () => {
		cells = await openCells();
		cleanups.push(() => cells.close());
		for (const [name, value] of Object.entries(cells.emulator.env)) {
			if (name.startsWith("AWS_")) vi.stubEnv(name, value);
		}
		fleet = await startFleet(cells.emulator, cells.cells);
		cleanups.push(() => fleet.stop());
	}, 300_000);

	afterAll(async () => {
		for (const cleanup of cleanups.reverse()) await cleanup();
		vi.unstubAllEnvs();
	});

	it("loses, repeats, reorders and leaks nothing while clients are cut and resumed", async () => {
		const random = createRandom(seed);
		const history = createHistory();
		const clients = await openClients(fleet.sites, history);
		const publishers = await openPublishers(cells.cells, cleanups);
		let publishing = true;
		const cutting = cutAndResume(clients, createRandom(random.below(2 ** 31)), () => publishing);
		await publishAll(publishers, clients, history, random);
		publishing = false;
		const cuts = await cutting;
		await waitFor("everything arrives", async () => history.missing() === 0, {
			deadlineMs: ARRIVAL_DEADLINE_MS,
			everyMs: 200,
		}).catch((error: Error) => console.log(`${error.message}: ${history.missing()} missing`));
		await sleep(SETTLE_MS);
		await Promise.all(clients.map(({ sse }) => sse.cut()));
		console.log(`${NOTIFICATIONS} sent, ${cuts} cuts and resumes`);
		expect(cuts).toBeGreaterThan(SESSIONS);
		expect(history.check().slice(0, 20)).toEqual([]);
	}, 280_000);
});

async function openClients(sites: readonly Site[], history: History): Promise<Client[]> {
	return Promise.all(
		Array.from({ length: SESSIONS }, async (_, n) => {
			const session = `history-${n}`;
			const site = sites[n % sites.length] as Site;
			const sse = createSseClient({
				url: `${site.url}/events`,
				headers: { Authorization: `Bearer user-${n}.${session}` },
				onEvent({ type, data }) {
					if (type === "message") history.received(session, JSON.parse(data).params.data);
					else if (type !== "cursor") history.told(session, data);
				},
				onLost: (error) => history.told(session, `lost: ${error?.message ?? "ended"}`),
			});
			history.opened({ id: session, namespace: "dev", channels: [session], place: site.cell.region });
			await sse.openAnew();
			return { session, sse };
		}),
	);
}

interface Publisher {
	readonly fanout: Fanout;
	readonly name: string;
	readonly count: number;
}

async function openPublishers(cells: readonly Cell[], cleanups: (() => Promise<unknown>)[]): Promise<Publisher[]> {
	const open = async ({ region, environment }: Cell, name: string, count: number, namespace?: string) => {
		const options = { namespace, follow: false, timeoutMs: PUBLISH_TIMEOUT_MS, aws: { region, environment } } as const;
		const fanout = await createFanout(options);
		cleanups.push(() => fanout.close());
		return { fanout, name: `${name}@${region}`, count };
	};
	const each = NOTIFICATIONS / (cells.length * PUBLISHERS_PER_REGION);
	return Promise.all(
		cells.flatMap((cell) => [
			...Array.from({ length: PUBLISHERS_PER_REGION }, (_, n) => open(cell, `publisher-${n}`, each)),
			open(cell, "stranger", IN_OTHER_NAMESPACE / cells.length, "other"),
		]),
	);
}

async function publishAll(
	publishers: readonly Publisher[],
	clients: readonly Client[],
	history: History,
	random: Random,
): Promise<void> {
	await Promise.all(
		publishers.map(async ({ fanout, name, count }) => {
			const own = createRandom(random.below(2 ** 31));
			const under = new Set<Promise<unknown>>();
			for (let n = 0; n < count; n += 1) {
				if (under.size >= IN_FLIGHT) await Promise.race(under);
				while (n % IN_FLIGHT === 0 && history.missing() > MAX_BACKLOG) await sleep(50);
				const { session } = own.pick(clients);
				const id = `${name}/${n}`;
				history.sent({ id, namespace: fanout.namespace, channel: session, publisher: name });
				const params = { level: "info", data: id };
				const sent = fanout.to({ session }).send({ method: "notifications/message", params });
				const done: Promise<unknown> = sent.finally(() => under.delete(done));
				under.add(done);
			}
			await Promise.all(under);
		}),
	);
}

/** Resolves to the number of cuts, with every client connected. */
async function cutAndResume(clients: readonly Client[], random: Random, goesOn: () => boolean): Promise<number> {
	let cuts = 0;
	while (goesOn()) {
		const victims = new Set(Array.from({ length: 1 + random.below(4) }, () => random.pick(clients)));
		await Promise.all([...victims].map(({ sse }) => sse.cut()));
		await sleep(random.below(200));
		// Through the region's one address: the next process takes over.
		await Promise.all([...victims].map(({ sse }) => sse.open()));
		cuts += victims.size;
		await sleep(random.below(50));
	}
	return cuts;
}
