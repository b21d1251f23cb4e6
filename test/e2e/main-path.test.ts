/** The main job on real processes: whichever process publishes, clients of every kind in both regions receive it, once. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BOARD, openClients, sessionOf } from "../demo/clients.ts";
import { openWays } from "../demo/publishers.ts";
import { createTally, isClean, type Note, type Tally } from "../demo/tally.ts";
import { type Cells, openCells } from "../support/cells.ts";
import { type Fleet, startFleet } from "../support/fleet.ts";
import { callMcp } from "../support/mcp-client.ts";
import { waitFor } from "../support/proc.ts";

const ARRIVAL_DEADLINE_MS = 60_000;
/** After the last arrival: what comes twice comes by then. */
const SETTLE_MS = 1_000;

describe("the main path in two regions", () => {
	let cells: Cells;
	let fleet: Fleet;
	let tally: Tally;
	const cleanups: (() => Promise<unknown>)[] = [];
	let count = 0;

	beforeAll(async () => {
		cells = await openCells();
		cleanups.push(() => cells.close());
		fleet = await startFleet(cells.emulator, cells.cells);
		cleanups.push(() => fleet.stop());
	}, 300_000);

	afterAll(async () => {
		for (const cleanup of cleanups.reverse()) await cleanup();
	});

	async function withClients(work: (send: Send) => Promise<void>): Promise<void> {
		tally = createTally();
		const clients = (await Promise.all(fleet.sites.map((site) => openClients(site, tally)))).flat();
		try {
			await work(async (note, publish) => {
				count += 1;
				const id = `note-${count}`;
				tally.sent({ ...note, id });
				await publish(id);
			});
			await waitFor("everything arrives", async () => tally.missing() === 0, { deadlineMs: ARRIVAL_DEADLINE_MS });
			await sleep(SETTLE_MS);
			expect({ rows: tally.rows(), oddities: tally.oddities() }).toSatisfy(({ rows, oddities }) =>
				isClean(rows, oddities),
			);
		} finally {
			await Promise.all(clients.map((client) => client.close()));
		}
	}

	it("carries what each server process publishes to all, to every client in both regions", async () => {
		await withClients(async (send) => {
			for (const url of fleet.sites.flatMap((site) => site.processUrls)) {
				const caller = await callMcp(`${url}/mcp`);
				const note = { way: url, channel: "all", kinds: ["mcp", "sse", "ws"] } as const;
				for (let n = 0; n < 5; n += 1) await send(note, (id) => caller.call("update", { uri: BOARD, note: id }));
				await caller.close();
			}
		});
		expect(tally.rows().length).toBe(12);
	}, 120_000);

	it("carries what each server process publishes to one session, in its order, wherever its clients are", async () => {
		await withClients(async (send) => {
			for (const url of fleet.sites.flatMap((site) => site.processUrls)) {
				const caller = await callMcp(`${url}/mcp`);
				for (const session of fleet.sites.map(sessionOf)) {
					const note = { way: url, channel: session, kinds: ["sse", "ws"], publisher: url } as const;
					for (let n = 0; n < 5; n += 1) await send(note, (id) => caller.call("notify", { session, text: id }));
				}
				await caller.close();
			}
		});
		expect(tally.rows().reduce((sum, row) => sum + row.received, 0)).toBe(4 * 2 * 5 * 2);
	}, 120_000);

	it("carries what a server on Lambda and an EventBridge event publish", async () => {
		const ways = await openWays(cells.emulator, fleet);
		cleanups.push(() => Promise.all(ways.map((way) => way.close())));
		await withClients(async (send) => {
			for (const { name, publish, channel, kinds } of ways.filter(({ name }) => !name.startsWith("server"))) {
				for (let n = 0; n < 3; n += 1) await send({ way: name, channel, kinds }, publish);
			}
		});
		expect(tally.rows().length).toBe(12);
	}, 120_000);
});

type Send = (note: Omit<Note, "id">, publish: (id: string) => Promise<unknown>) => Promise<void>;
