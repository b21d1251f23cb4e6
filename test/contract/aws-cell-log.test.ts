/** The regional log on a real table: positions, verdicts, expiry, races. */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createChannel } from "../../lambda/layer/src/core/channel.ts";
import { encodeEnvelope } from "../../lambda/layer/src/core/envelope.ts";
import { BEGINNING, formatPosition, type Position } from "../../lambda/layer/src/core/position.ts";
import {
	CONTROL_RETENTION_SECONDS,
	createLog,
	type Log,
	type LogRow,
} from "../../lambda/layer/src/transports/aws/log.ts";
import type { DynamoClient } from "../../lambda/layer/src/transports/aws/sdk.ts";
import { announcedSeed } from "../support/random.ts";
import { envelopeOf, freshChannel, ids, itemOf, RETENTION_SECONDS, startWorld, type World } from "./aws-cell-world.ts";

const seed = announcedSeed("aws-cell-log");
let world: World;
let log: Log;
beforeAll(async () => {
	world = await startWorld();
	log = world.log();
});
afterAll(() => world?.stop());

const at = (epoch: string, offset: number): Position => ({ epoch, offset: offset });
const offsets = (page: { entries: readonly { position: Position }[] }) =>
	page.entries.map(({ position }) => position.offset);

describe("the log", () => {
	it("numbers rows densely from 1 in one epoch and reads them back with prev and envelope", async () => {
		const channel = freshChannel();
		const envelopes = [1, 2, 3].map((n) => envelopeOf(channel, n));
		const rows = await log.append(channel.key, envelopes.map(itemOf));
		const { epoch } = (rows[0] as LogRow).position;
		expect(epoch).toMatch(/^(?!0{8})[0-9a-f]{8}$/);
		expect(
			rows.map(({ position, prev, appended }) => [formatPosition(position), formatPosition(prev), appended]),
		).toEqual([
			[`${epoch}.1`, `${epoch}.0`, true],
			[`${epoch}.2`, `${epoch}.1`, true],
			[`${epoch}.3`, `${epoch}.2`, true],
		]);
		const page = await log.read({ channel, from: BEGINNING, limit: 2 });
		expect(page).toMatchObject({ verdict: "whole", more: true, channel });
		expect(page.entries.map((entry) => entry.envelope)).toEqual(envelopes.slice(0, 2));
		const rest = await log.read({ channel, from: at(epoch, 2), limit: 2 });
		expect([rest.verdict, rest.more, offsets(rest)]).toEqual(["whole", false, [3]]);
		expect(await log.newest(channel.key)).toEqual(at(epoch, 3));
		expect(await log.end(channel.key)).toEqual(at(epoch, 3));
	});

	it("says BEGINNING, whole and nothing for a log that does not exist, and epoch to a position of one that did", async () => {
		const channel = freshChannel();
		expect(await log.newest(channel.key)).toEqual(BEGINNING);
		expect(await log.read({ channel, from: BEGINNING, limit: 5 })).toMatchObject({ entries: [], verdict: "whole" });
		expect(await log.read({ channel, from: { sinceMs: 0 }, limit: 5 })).toMatchObject({
			entries: [],
			verdict: "whole",
		});
		expect(await log.read({ channel, from: at("0000000a", 4), limit: 5 })).toMatchObject({
			entries: [],
			verdict: "epoch",
		});
	});

	it("keeps the row of an id that is in the tail, in the place it has", async () => {
		const channel = freshChannel();
		const [a, b, c] = [1, 2, 3].map((n) => itemOf(envelopeOf(channel, n)));
		if (!a || !b || !c) throw new Error("three items");
		await log.append(channel.key, [a, b]);
		const again = await log.append(channel.key, [a, b, c, c]);
		expect(again.map(({ position, appended }) => [position.offset, appended])).toEqual([
			[1, false],
			[2, false],
			[3, true],
			[3, false],
		]);
		expect(offsets(await log.read({ channel, from: BEGINNING, limit: 10 }))).toEqual([1, 2, 3]);
	});

	it("gives every item of racing writers one row, each writer's in its order", async () => {
		const channel = freshChannel();
		const writers = Array.from({ length: 4 }, () => Array.from({ length: 4 }, () => itemOf(envelopeOf(channel))));
		await Promise.all(writers.map((items) => world.log().append(channel.key, items)));
		const page = await log.rows(channel.key, BEGINNING, 100);
		expect(offsets(page)).toEqual(Array.from({ length: 16 }, (_, index) => index + 1));
		expect(new Set(page.entries.map(({ position }) => position.epoch)).size).toBe(1);
		const order = page.entries.map(({ text }) => (JSON.parse(text ?? "") as { id: string }).id);
		for (const items of writers) {
			const places = items.map(({ id }) => order.indexOf(id));
			expect(places).toEqual([...places].sort((x, y) => x - y));
			expect(places).not.toContain(-1);
		}
	});

	it("tells a gap row and a version it cannot read apart from nothing at all", async () => {
		const channel = freshChannel();
		const newer = encodeEnvelope({ ...envelopeOf(channel), v: 99 });
		await log.append(channel.key, [{ id: ids.next() }, { id: ids.next(), text: newer }, itemOf(envelopeOf(channel))]);
		const page = await log.read({ channel, from: BEGINNING, limit: 9 });
		expect(page.entries.map((entry) => entry.envelope === undefined)).toEqual([true, true, false]);
		expect(offsets(page)).toEqual([1, 2, 3]);
	});

	it("answers epoch, from the oldest, to a position past its end: the log lost its tail", async () => {
		const channel = freshChannel();
		const [row] = await log.append(channel.key, [itemOf(envelopeOf(channel))]);
		const page = await log.read({ channel, from: at(row?.position.epoch as string, 7), limit: 9 });
		expect([page.verdict, offsets(page)]).toEqual(["epoch", [1]]);
	});

	it("keeps the end of a quiet log for those who ask for it now and then: its epoch goes on [P3]", async () => {
		const channel = freshChannel();
		const [, last] = await log.append(channel.key, [itemOf(envelopeOf(channel)), itemOf(envelopeOf(channel))]);
		const { position } = last as LogRow;
		for (let asked = 0; asked < 6; asked += 1) {
			world.clock.advance(RETENTION_SECONDS * 400);
			expect(await Promise.all([log.end(channel.key), log.end(channel.key)])).toEqual([position, position]);
		}
		const [row] = await log.append(channel.key, [itemOf(envelopeOf(channel))]);
		expect(row?.prev).toEqual(position);
		expect(await log.rows(channel.key, position, 9)).toMatchObject({ verdict: "whole" });
		expect(await log.rows(channel.key, at(position.epoch, 1), 9)).toMatchObject({ verdict: "whole" });
		expect(await log.rows(channel.key, BEGINNING, 9)).toMatchObject({ verdict: "retention" });
	});

	it("starts a new epoch when all rows have expired, though DynamoDB still holds them", async () => {
		const channel = freshChannel();
		const [first] = await log.append(channel.key, [itemOf(envelopeOf(channel)), itemOf(envelopeOf(channel))]);
		const old = (first as LogRow).position.epoch;
		world.clock.advance((RETENTION_SECONDS + 2) * 1000);
		expect(await log.rows(channel.key, at(old, 1), 9)).toMatchObject({ entries: [], verdict: "retention" });
		expect(await log.rows(channel.key, at(old, 2), 9)).toMatchObject({ entries: [], verdict: "whole" });
		const [row] = await log.append(channel.key, [itemOf(envelopeOf(channel))]);
		const { position, prev } = row as LogRow;
		expect(position.epoch).not.toBe(old);
		expect([position.offset, prev.offset]).toEqual([1, 0]);
		for (const [from, verdict] of [
			[at(old, 2), "epoch"],
			[at(old, 1), "epoch"],
			[BEGINNING, "whole"],
			[at(position.epoch, 1), "whole"],
		] as const) {
			const page = await log.rows(channel.key, from, 9);
			expect([page.verdict, offsets(page)]).toEqual([verdict, from.epoch === position.epoch ? [] : [1]]);
		}
		expect(await log.newest(channel.key)).toEqual(position);
	});
});

/** What the log must say, kept as plain rows. */
interface ModelRow {
	readonly epoch: string;
	readonly offset: number;
	readonly at: number;
}

describe("the log against a model", () => {
	it("keeps what processes tell each other an hour at most", async () => {
		const peers = createChannel("instance", ids.next());
		const log = createLog({
			...{ table: world.tables.log, dynamo: world.clients.dynamo(), clock: world.clock, random32: ids.random32 },
			retentionSeconds: 2 * CONTROL_RETENTION_SECONDS,
		});
		for (const channel of [peers, createChannel("topic", peers.id)]) {
			await log.append(channel.key, [itemOf(envelopeOf(channel))]);
		}
		world.clock.advance((CONTROL_RETENTION_SECONDS + 2) * 1000);
		const kept = async (key: string) => (await log.rows(key, BEGINNING, 9)).entries.length;
		expect([await kept(peers.key), await kept(createChannel("topic", peers.id).key)]).toEqual([0, 1]);
	});

	it("answers every read as the model does, whatever expired in between", async () => {
		const step = fc.oneof(
			fc.record({ kind: fc.constant("append" as const), count: fc.integer({ min: 1, max: 6 }) }),
			fc.record({ kind: fc.constant("wait" as const), seconds: fc.integer({ min: 1, max: RETENTION_SECONDS }) }),
			fc.record({
				kind: fc.constant("read" as const),
				row: fc.nat(),
				ahead: fc.integer({ min: -2, max: 2 }),
				limit: fc.integer({ min: 1, max: 8 }),
			}),
			fc.record({ kind: fc.constant("since" as const), seconds: fc.integer({ min: 0, max: RETENTION_SECONDS - 1 }) }),
		);
		await fc.assert(
			fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
				const channel = freshChannel();
				const model: ModelRow[] = [];
				const isKept = (row: ModelRow) =>
					(Math.ceil(row.at / 1000) + RETENTION_SECONDS) * 1000 > world.clock.now() + 5 &&
					row.epoch === model.at(-1)?.epoch;
				for (const action of steps) {
					if (action.kind === "wait") world.clock.advance(action.seconds * 1000);
					else if (action.kind === "append") {
						const items = Array.from({ length: action.count }, () => itemOf(envelopeOf(channel)));
						for (const { position } of await log.append(channel.key, items)) {
							model.push({ epoch: position.epoch, offset: position.offset, at: world.clock.now() });
						}
					} else {
						const kept = model.filter(isKept);
						const newest = model.at(-1);
						if (newest === undefined) continue;
						if (action.kind === "since") {
							const sinceMs = world.clock.now() - action.seconds * 1000;
							const page = await log.rows(channel.key, { sinceMs }, 1000);
							// Rows within some milliseconds of the bound may be told either way.
							const sure = kept.filter((row) => row.at > sinceMs + 50).map(({ offset }) => offset);
							const possible = kept.filter((row) => row.at > sinceMs - 50).map(({ offset }) => offset);
							expect(possible.slice(-offsets(page).length || possible.length)).toEqual(
								offsets(page).length > 0 ? offsets(page) : possible,
							);
							expect(offsets(page).length).toBeGreaterThanOrEqual(sure.length);
							continue;
						}
						const row = model[action.row % model.length] as ModelRow;
						const from = at(row.epoch, Math.max(0, row.offset + action.ahead));
						const page = await log.rows(channel.key, from, action.limit);
						const isForeign = row.epoch !== newest.epoch || Number(from.offset) > newest.offset;
						const after = kept.filter(({ offset }) => isForeign || offset > Number(from.offset));
						expect(offsets(page)).toEqual(after.slice(0, action.limit).map(({ offset }) => offset));
						const isCut =
							Number(from.offset) < newest.offset && (after[0]?.offset ?? Infinity) > Number(from.offset) + 1;
						expect(page.verdict).toBe(isForeign ? "epoch" : isCut ? "retention" : "whole");
						if (!page.more) expect(offsets(page).length).toBe(after.length);
					}
				}
				const newest = model.at(-1);
				if (newest !== undefined) {
					expect(await log.newest(channel.key)).toEqual(at(newest.epoch, newest.offset));
				}
			}),
			{ numRuns: 40, seed, verbose: 1 },
		);
	});

	it("knows a repeated batch whose rows fill more than the 1 MB that one query reads", async () => {
		const channel = freshChannel();
		const items = Array.from({ length: 10 }, (_, n) => itemOf(envelopeOf(channel, n)));
		// DynamoDB's limit counts whole rows, also of a projection; the emulator has none.
		const dynamo = world.clients.dynamo();
		const small = async (command: { readonly input: { Limit?: number } }) => {
			if (command.input.Limit !== undefined) command.input.Limit = Math.min(command.input.Limit, 8);
			return dynamo.send(command as Parameters<DynamoClient["send"]>[0]);
		};
		const log = world.log({ send: small } as unknown as DynamoClient);
		await log.append(channel.key, items);
		const repeated = await log.append(channel.key, items);
		expect(repeated.map(({ appended }) => appended)).toEqual(items.map(() => false));
	});
});
