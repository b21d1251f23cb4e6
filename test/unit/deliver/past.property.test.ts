/** Client streams of a session that moves between regions: what they show over cuts, resumes and moves. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeCursor, placeCode } from "../../../lambda/layer/src/core/cursor.ts";
import { announcedSeed, createRandom } from "../../support/random.ts";
import { Regions } from "./regions.ts";
import { Client } from "./world.ts";

const seed = announcedSeed("past.property");

const step = fc.record({
	publish: fc.nat({ max: 12 }),
	client: fc.nat({ max: 2 }),
	/** Where it connects anew; undefined: it stays as it is. */
	region: fc.option(fc.nat({ max: 2 }), { nil: undefined }),
	waitMs: fc.constantFrom(0, 0, 1, 30, 700),
});

const places = (cursor = "1") => [...decodeCursor(cursor).keys()].map((key) => Number.parseInt(key.slice(12), 16));

function connect(regions: Regions, client: Client, region: number): void {
	client.kill();
	regions.move(region);
	client.connect([regions.engines[region] as (typeof regions.engines)[number]], regions.clock, [regions.channel]);
}

test("[P3] [P4] one client that goes to and fro between two regions sees everything once, in order, and is told nothing", async () => {
	await fc.assert(
		fc.asyncProperty(fc.array(step, { maxLength: 20 }), fc.nat(), async (steps, run) => {
			const regions = new Regions(createRandom(run), 2);
			regions.pastFails = 0.3;
			for (const { faults } of regions.brokers) Object.assign(faults, { lose: 0.2, repeat: 0.2, delay: 0.2 });
			const client = new Client();
			connect(regions, client, 0);
			await regions.clock.settle();
			let cutInThePast = false;
			for (const { publish, region, waitMs } of steps) {
				for (let n = 0; n < publish; n += 1) regions.publish();
				if (waitMs > 0) await regions.clock.advance(waitMs);
				if (region === undefined) continue;
				// On the way from there to here, and now back: whoever took it here may have published meanwhile.
				cutInThePast ||= !places(client.cursor).includes(placeCode(`aws/${regions.home}`));
				connect(regions, client, region % 2);
			}
			for (const broker of regions.brokers) broker.deliverDelayed();
			for (let turn = 0; turn < 8; turn += 1) await regions.clock.advance(2_000);
			const numbers = client.numbers(regions.channel);
			if (!cutInThePast) {
				expect(client.marks).toEqual([]);
				expect(numbers).toEqual(Array.from({ length: regions.published }, (_, n) => n + 1));
				expect(places(client.cursor)).toEqual([placeCode(`aws/${regions.home}`)]);
			}
			expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
			client.kill();
			regions.close();
		}),
		{ seed, numRuns: 150 },
	);
});

test("[P3] [P4] several clients in three regions, some unsealed or out of reach: what one does not see it is told, and nothing comes twice", async () => {
	let told = 0;
	let crossed = 0;
	await fc.assert(
		fc.asyncProperty(fc.array(step, { maxLength: 25 }), fc.nat(), async (steps, run) => {
			const regions = new Regions(createRandom(run), 3);
			Object.assign(regions, { pastFails: 0.3, sealFails: 0.2 });
			for (const { faults } of regions.brokers) Object.assign(faults, { lose: 0.2, repeat: 0.2, delay: 0.2 });
			const clients = [new Client(), new Client(), new Client()] as const;
			for (const client of clients) connect(regions, client, 0);
			await regions.clock.settle();
			for (const { publish, client: index, region, waitMs } of steps) {
				for (let n = 0; n < publish; n += 1) regions.publish();
				if (waitMs > 0) await regions.clock.advance(waitMs);
				if (region !== undefined) connect(regions, clients[index as 0 | 1 | 2], region);
			}
			// The last one to come keeps the session: those that stay are told that it moved.
			const last = clients[0];
			connect(regions, last, regions.home);
			for (const broker of regions.brokers) broker.deliverDelayed();
			for (let turn = 0; turn < 8; turn += 1) await regions.clock.advance(2_000);
			for (const client of clients) {
				let before = 0;
				let marked = false;
				for (const fact of client.seen) {
					if ("mark" in fact) marked = true;
					else {
						expect(fact.n).toBeGreaterThan(before);
						if (fact.n > before + 1) expect(marked, `${before} then ${fact.n}`).toBe(true);
						before = fact.n;
						marked = false;
					}
				}
				if (client === last && !marked) expect(before).toBe(regions.published);
				told += client.marks.length;
				crossed += client.marks.length === 0 && client.ends.length > 0 ? 1 : 0;
				client.kill();
			}
			regions.close();
		}),
		{ seed, numRuns: 150 },
	);
	expect([told > 0, crossed > 0]).toEqual([true, true]);
});

async function moved(publishedTwice: readonly number[] = []) {
	const regions = new Regions(createRandom(1), 2);
	const client = new Client();
	connect(regions, client, 0);
	await regions.clock.settle();
	for (let n = 0; n < 3; n += 1) regions.publish();
	await regions.clock.settle();
	client.kill();
	for (let n = 0; n < 9; n += 1) regions.publish();
	regions.move(1);
	for (const n of publishedTwice) regions.brokers[1]?.append(regions.envelope(n));
	regions.publish();
	return { regions, client, resume: () => connect(regions, client, 1) };
}

test("[P4] what its publisher offered again in the new region, not knowing that the old one had it, is shown once: seen there or not", async () => {
	const { regions, client, resume } = await moved([2, 3, 4, 12]);
	resume();
	await regions.clock.settle();
	expect(client.numbers(regions.channel)).toEqual(Array.from({ length: 13 }, (_, n) => n + 1));
	expect(client.marks).toEqual([]);
	regions.close();
});

test("[P3] cut on its way through the old region's log it goes on there, over and over", async () => {
	const { regions, client, resume } = await moved();
	const cursors = new Set<string | undefined>();
	for (let cut = 0; cut < 4; cut += 1) {
		let left = 2;
		client.room = () => (left-- > 0 ? undefined : new Promise(() => {}));
		resume();
		await regions.clock.settle();
		cursors.add(client.cursor);
		client.kill();
	}
	expect(cursors.size).toBe(4);
	client.room = undefined;
	resume();
	await regions.clock.settle();
	expect(client.numbers(regions.channel)).toEqual(Array.from({ length: 13 }, (_, n) => n + 1));
	expect(client.marks).toEqual([]);
	regions.close();
});

test("[P3] [P7] where the old region does not answer it is told `gap` within five seconds, and misses nothing that comes here", async () => {
	const { regions, client, resume } = await moved();
	regions.pastFails = 1;
	resume();
	await regions.clock.advance(3_000);
	regions.publish();
	expect([client.marks, client.numbers(regions.channel)]).toEqual([[], [1, 2, 3]]);
	await regions.clock.advance(4_000);
	expect([client.marks, client.numbers(regions.channel)]).toEqual([["gap"], [1, 2, 3, 14]]);
	expect(places(client.cursor)).toEqual([placeCode("aws/1")]);
	regions.close();
});
