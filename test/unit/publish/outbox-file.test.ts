import { spawn } from "node:child_process";
import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { FanoutError } from "../../../lambda/layer/src/core/errors.ts";
import { createFanout } from "../../../lambda/layer/src/fanout.ts";
import { createOutgoing, type Outgoing } from "../../../lambda/layer/src/outgoing.ts";
import { openOutboxFile } from "../../../lambda/layer/src/publish/outbox-file.ts";
import type { OutboxOptions } from "../../../lambda/layer/src/route/options.ts";
import { FakeBroker, NO_FAULTS } from "../../../lambda/layer/src/testing/fake-broker.ts";
import { createFakeClock, type FakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";
import { createFakeTransport } from "../../../lambda/layer/src/testing/fake-transport.ts";
import { announcedSeed, createRandom } from "../../support/random.ts";
import { ROOT } from "../../support/root.ts";
import { createDisk } from "./outbox-disk.ts";
import { DEDUP_MS, envelopeOf, inLog, unreliable } from "./outbox-world.ts";

const seed = announcedSeed("outbox-file");
const disk = createDisk();

interface Life {
	readonly outgoing: Outgoing;
	readonly told: FanoutError[];
	publish(name: string, n: number): Promise<{ readonly queued?: unknown; readonly ok: boolean }>;
	end(): Promise<void>;
}

/** One process's life on the file: what it keeps is there for the next. */
async function live(clock: FakeClock, broker: FakeBroker, options: Partial<OutboxOptions> = {}): Promise<Life> {
	const told: FanoutError[] = [];
	const capabilities = { batch: { count: 4, bytes: 4_096 }, dedupMs: DEDUP_MS };
	const transport = unreliable(createFakeTransport(broker, { capabilities }), broker, clock, () => false);
	const outgoing = await createOutgoing(
		[transport],
		{ timeoutMs: 1_000, outbox: { file: disk.file, ...options }, priorities: {}, disabled: [] },
		{ clock, random: createRandom(1).next, report: (error) => told.push(error) },
	);
	disk.open.push(outgoing);
	outgoing.restore();
	return {
		outgoing,
		told,
		async publish(name, n) {
			const envelope = envelopeOf(name, n, clock);
			const [outcome] = await outgoing.publish(outgoing.decide(envelope.channel, "x", 0), envelope, () => {});
			return outcome as { ok: boolean };
		},
		async end() {
			outgoing.close();
			await clock.settle();
		},
	};
}

const state = ({ outgoing }: Life) => outgoing.health[0]?.outbox;

test("[P2] [P4] [P7] what one process kept is offered by the next, in order, before what is new, and once although some of it was taken", async () => {
	const clock = createFakeClock();
	const broker = new FakeBroker(createRandom(1).next);
	const first = await live(clock, broker);
	broker.faults.uncertain = 1;
	const one = first.publish("c0", 1);
	await clock.advance(1_000);
	Object.assign(broker.faults, { uncertain: 0, refuse: 1 });
	const rest = [first.publish("c0", 2), first.publish("c1", 1), first.publish("c0", 3)];
	await clock.advance(5_000);
	expect((await Promise.all([one, ...rest])).map(({ queued }) => queued)).toEqual([true, true, true, true]);
	expect(state(first)).toMatchObject({ envelopes: 4, file: "ok" });
	await first.end();
	// Kept, so not lost: nobody is told anything.
	expect(first.told).toEqual([]);
	expect(inLog(broker, "c0")).toEqual([1]);

	await clock.advance(DEDUP_MS * 2);
	const second = await live(clock, broker);
	expect(state(second)).toMatchObject({ envelopes: 4, dropped: 0 });
	const after = second.publish("c0", 4);
	await clock.advance(100);
	expect(await after).toMatchObject({ queued: true });
	broker.faults.refuse = 0;
	await clock.advance(120_000);
	expect(state(second)).toMatchObject({ envelopes: 0, bytes: 0, dropped: 0, file: "ok" });
	expect([inLog(broker, "c0"), inLog(broker, "c1")]).toEqual([[1, 2, 3, 4], [1]]);
	await second.end();

	const third = await live(clock, broker);
	expect(state(third)).toMatchObject({ envelopes: 0 });
});

test("[P1] whoever hears queued can rely on the file in the same turn", async () => {
	const clock = createFakeClock();
	const broker = new FakeBroker(createRandom(1).next);
	broker.faults.refuse = 1;
	const { publish } = await live(clock, broker);
	/** What a process that is killed now leaves behind. */
	const left = (): number => {
		for (const suffix of ["", "-wal"]) copyFileSync(`${disk.file}${suffix}`, `${disk.file}.copy${suffix}`);
		const db = new DatabaseSync(`${disk.file}.copy`);
		const { count } = db.prepare("SELECT count(*) AS count FROM kept").get() as { count: number };
		db.close();
		return count;
	};
	const counts: number[] = [];
	for (const n of [1, 2, 3]) publish("c0", n).then(() => counts.push(left()));
	await clock.advance(10_000);
	publish("c0", 4).then(() => counts.push(left()));
	await clock.settle();
	expect(counts).toEqual([3, 3, 3, 4]);
});

test("what is older than maxAgeMs, or finds no room any more, is dropped, counted and told", async () => {
	const clock = createFakeClock();
	const broker = new FakeBroker(createRandom(1).next);
	broker.faults.refuse = 1;
	const first = await live(clock, broker);
	first.publish("c0", 1);
	await clock.advance(400_000);
	for (let n = 2; n <= 5; n += 1) first.publish("c0", n);
	await clock.advance(100_000);
	await first.end();
	await clock.advance(150_000);

	Object.assign(broker.faults, NO_FAULTS);
	const second = await live(clock, broker, { maxEnvelopes: 3 });
	await clock.advance(30_000);
	expect(state(second)).toMatchObject({ envelopes: 0, dropped: 2 });
	expect(second.told.reduce((sum, { data }) => sum + (data.dropped as number), 0)).toBe(2);
	expect(inLog(broker, "c0")).toEqual([2, 3, 4]);
});

test("a lane that is not there keeps its own until it is too old; an envelope that cannot be read keeps nobody from going on", async () => {
	const clock = createFakeClock();
	const broker = new FakeBroker(createRandom(1).next);
	broker.faults.refuse = 1;
	const first = await live(clock, broker);
	for (const n of [1, 2, 3]) first.publish("c0", n);
	await clock.advance(10_000);
	await first.end();
	const db = new DatabaseSync(disk.file);
	db.exec("UPDATE kept SET envelope = '{\"v\":1}' WHERE row = 2");
	db.exec("INSERT INTO kept (row, lane, at, envelope) SELECT 4, 'other', at, envelope FROM kept WHERE row = 1");
	db.close();

	broker.faults.refuse = 0;
	const second = await live(clock, broker);
	await clock.advance(10_000);
	expect(inLog(broker, "c0")).toEqual([1, 3]);
	expect(second.told.map(({ message }) => message)).toEqual([expect.stringMatching(/^1 envelopes .* are lost: /)]);
	await second.end();
	await clock.advance(700_000);
	const third = await live(clock, broker);
	expect(third.told.map(({ message, data }) => [message, data])).toEqual([
		["1 envelopes that were queued for other are lost: older than 600000 ms", { lane: "other", dropped: 1 }],
	]);
});

test("[P6] the file against its model: after any puts, removals and restarts it has what was put and not removed, in order", async () => {
	const command = fc.oneof(
		fc.record({ put: fc.constantFrom("a", "b") }),
		fc.record({ remove: fc.nat(30) }),
		fc.constant("turn" as const),
		fc.constant("reopen" as const),
	);
	await fc.assert(
		fc.asyncProperty(fc.array(command, { maxLength: 40 }), async (commands) => {
			rmSync(disk.file, { force: true });
			const made = () =>
				openOutboxFile({ file: disk.file, monotonic: () => 0, report: (error) => expect(error).toBe(undefined) });
			let store = made();
			const model = new Map<number, string>();
			for (const [index, one] of commands.entries()) {
				if (one === "turn") await undefined;
				else if (one === "reopen") {
					store.close();
					store = made();
				} else if ("put" in one) model.set(store.put(one.put, index, `{"n":${index}}`) as number, one.put);
				else {
					const row = [...model.keys()][one.remove];
					if (row === undefined) continue;
					store.remove(row);
					model.delete(row);
				}
			}
			for (const lane of ["a", "b"]) {
				const rows = [...model].filter(([, of]) => of === lane).map(([row]) => row);
				expect(store.load(lane).map(({ row }) => row)).toEqual(rows);
			}
			store.close();
		}),
		{ seed, numRuns: 40 },
	);
}, 60_000);

test.each([
	["damaged", () => Buffer.concat([readFileSync(disk.file).subarray(0, 1_500), Buffer.alloc(6_692, 0x5a)])],
	["no database", () => Buffer.from("queued envelopes, I hope\n".repeat(50))],
])(
	"a file that is %s is told with its place, is left as it is, and the process starts with its memory",
	async (_what, content) => {
		const clock = createFakeClock();
		const broker = new FakeBroker(createRandom(1).next);
		await (await live(clock, broker)).end();
		const bytes = content();
		writeFileSync(disk.file, bytes);
		const { told, publish, outgoing, end } = await live(clock, broker);
		expect(told).toMatchObject([
			{ message: expect.stringContaining(`outbox.file ${disk.file} cannot be opened; it is damaged`) },
		]);
		expect(await publish("c0", 1)).toMatchObject({ ok: true });
		expect(outgoing.health[0]?.outbox).toMatchObject({ file: "failed" });
		await end();
		expect(readFileSync(disk.file)).toEqual(bytes);
	},
);

test("another application's database, a disk.directory, and a file that another fanout has are refused by name", async () => {
	const options = { local: {}, outbox: { file: disk.file } };
	const db = new DatabaseSync(disk.file);
	db.exec("CREATE TABLE theirs (x); PRAGMA application_id = 77");
	db.close();
	await expect(createFanout(options)).rejects.toMatchObject({
		code: "ConfigInvalid",
		message: expect.stringContaining("another application's database"),
	});
	await expect(createFanout({ local: {}, outbox: { file: disk.directory } })).rejects.toThrow(
		`outbox.file ${disk.directory}`,
	);
	const nowhere = join(disk.directory, "none", "outbox.db");
	await expect(createFanout({ local: {}, outbox: { file: nowhere } })).rejects.toThrow(
		`outbox.file ${nowhere} cannot be opened; does its directory exist`,
	);
	await expect(createFanout({ local: {}, outbox: { file: "" } })).rejects.toMatchObject({ code: "ConfigInvalid" });
	rmSync(disk.file);
	const fanout = await createFanout(options);
	await expect(createFanout(options)).rejects.toMatchObject({
		code: "TransportUnavailable",
		retryable: true,
		message: `outbox.file ${disk.file} is in use by another process`,
	});
	await fanout.close();
	await (await createFanout(options)).close();
});

test("[P1] [P7] a process that is killed loses nothing that was told queued, and another cannot take its file while it lives", async () => {
	const args = ["--conditions=mcp-fanout-source", join(import.meta.dirname, "queueing-process.ts"), disk.file];
	const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ["ignore", "pipe", "inherit"] });
	const said: number[] = [];
	createInterface({ input: child.stdout }).on("line", (line) => said.push(Number(line)));
	try {
		await expect.poll(() => said.length, { timeout: 20_000 }).toBeGreaterThan(500);
		await expect(createFanout({ local: {}, outbox: { file: disk.file } })).rejects.toThrow(/in use by another process/);
	} finally {
		child.kill("SIGKILL");
	}
	await new Promise((resolve) => child.once("close", resolve));
	expect(existsSync(disk.file)).toBe(true);

	const broker = new FakeBroker(createRandom(1).next);
	const fanout = await createFanout({
		transports: [createFakeTransport(broker, { name: "wide" })],
		outbox: { file: disk.file },
	});
	const kept = () => fanout.health().targets[0]?.outbox;
	await expect.poll(() => kept()?.envelopes, { timeout: 20_000 }).toBe(0);
	expect(kept()).toMatchObject({ dropped: 0, file: "ok" });
	await fanout.close();
	const logs = ["c0", "c1", "c2"].map((name) => inLog(broker, name));
	for (const log of logs) expect(log).toEqual([...new Set(log)].sort((x, y) => x - y));
	const all = new Set(logs.flat());
	expect(said.filter((n) => !all.has(n))).toEqual([]);
}, 60_000);
