/** The outbox's file on a disk that fails while the process runs. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { FanoutError } from "../../../lambda/layer/src/core/errors.ts";
import type { Transport } from "../../../lambda/layer/src/core/transport.ts";
import { createOutgoing, type Outgoing } from "../../../lambda/layer/src/outgoing.ts";
import { openOutboxFile } from "../../../lambda/layer/src/publish/outbox-file.ts";
import { FakeBroker } from "../../../lambda/layer/src/testing/fake-broker.ts";
import { createFakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";
import { createFakeTransport } from "../../../lambda/layer/src/testing/fake-transport.ts";
import { createRandom } from "../../support/random.ts";

let directory: string;
let file: string;
const open: Outgoing[] = [];

beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "fanout outbox-"));
	file = join(directory, "outbox.db");
});
afterEach(() => {
	for (const outgoing of open.splice(0)) outgoing.close();
	rmSync(directory, { recursive: true, force: true });
});

test("[P7] [P9] a full disk is told, and is not asked again in every turn that queues something; once there is room all of it is written", async () => {
	let now = 0;
	const told: string[] = [];
	const store = openOutboxFile({ file, monotonic: () => now, report: ({ message }) => told.push(message) });
	const { exec } = DatabaseSync.prototype;
	const disk = { isFull: true, asked: 0 };
	const spy = vi.spyOn(DatabaseSync.prototype, "exec").mockImplementation(function (this: DatabaseSync, sql) {
		if (sql === "COMMIT") disk.asked += 1;
		if (sql === "COMMIT" && disk.isFull) throw Object.assign(new Error("database or disk is full"), { errcode: 13 });
		exec.call(this, sql);
	});
	try {
		for (let turn = 0; turn < 300; turn += 1) {
			store.put("a", turn, "{}");
			now += 10;
			await undefined;
		}
		expect(disk.asked).toBeLessThanOrEqual(3);
		expect([store.state, told.length > 0]).toEqual(["failed", true]);
		disk.isFull = false;
		now += 1_000;
		store.put("a", 300, "{}");
		await undefined;
		expect(store.state).toBe("ok");
	} finally {
		spy.mockRestore();
	}
	expect(store.load("a").map(({ at }) => at)).toEqual(Array.from({ length: 301 }, (_, n) => n));
	store.close();
});

test("[P7] a file that cannot be read any more when a reload brings its lane back stops nothing halfway: it is told", async () => {
	const clock = createFakeClock();
	const told: string[] = [];
	const options = { timeoutMs: 1_000, outbox: { file }, priorities: {}, disabled: [] };
	const deps = { clock, random: createRandom(1).next, report: ({ message }: FanoutError) => told.push(message) };
	const [a, b, c] = ["a", "b", "c"].map((name, index) =>
		createFakeTransport(new FakeBroker(createRandom(index).next), { name }),
	) as [Transport, Transport, Transport];
	const outgoing = await createOutgoing([a], options, deps);
	open.push(outgoing);
	const { prepare } = DatabaseSync.prototype;
	const putInForce = await outgoing.prepare([b, a, c], options);
	const spy = vi.spyOn(DatabaseSync.prototype, "prepare").mockImplementation(function (this: DatabaseSync, sql) {
		if (sql.startsWith("SELECT row")) throw Object.assign(new Error("disk I/O error"), { errcode: 10 });
		return prepare.call(this, sql);
	});
	try {
		await putInForce();
	} finally {
		spy.mockRestore();
	}
	expect(outgoing.health.map(({ lane }) => lane)).toEqual(["b", "a", "c"]);
	expect(told).toEqual([expect.stringContaining(`outbox.file ${file} cannot be read`)]);
});
