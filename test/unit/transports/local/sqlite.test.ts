import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { BEGINNING, type Position } from "../../../../lambda/layer/src/core/position.ts";
import { createSqliteStore } from "../../../../lambda/layer/src/transports/local/sqlite-store.ts";
import { collect, createBench, never, numbers, offsets, readPage, started, topic } from "./support.ts";

const a = topic("a");
const b = topic("b");
let folder: string;
let files = 0;
const newFile = () => join(folder, `log ${++files}.db`);

beforeAll(() => {
	folder = mkdtempSync(join(tmpdir(), "fanout-sqlite-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("a restart", () => {
	test("keeps place, epoch and events: a stream resumes where it was, and says its acceptance is on disk", async () => {
		const file = newFile();
		const one = await started({ file }, 1);
		const [outcome] = await one.send(a, 1, 2, 3);
		expect(outcome).toMatchObject({ ok: true, durability: "disk" });
		const seen = outcome?.ok ? (outcome.position as Position) : BEGINNING;
		const place = one.transport.place;
		await one.transport.close();

		const two = await started({ file }, 2);
		expect(two.transport.place).toBe(place);
		expect(await readPage(two.transport, a, seen)).toMatchObject({ verdict: "whole", entries: { length: 2 } });
		const live = collect();
		expect(await two.transport.subscribe(a, live).ready).toEqual({ epoch: seen.epoch, offset: 3 });
		await two.send(a, 4);
		expect(offsets(live.entries)).toEqual([4]);
		await two.transport.close();
	});

	test("[P4] remembers ids", async () => {
		const file = newFile();
		const one = await started({ file });
		const envelope = one.envelope(a, 1);
		await one.transport.publish(a, [envelope], { mayExist: false }, never);
		await one.transport.close();
		const two = await started({ file }, 2);
		const [outcome] = await two.transport.publish(a, [envelope], { mayExist: true }, never);
		expect(outcome).toMatchObject({ ok: true, duplicate: true, position: { offset: 1 } });
		await two.transport.close();
	});

	test("[P3] remembers what was dropped and evicted, and takes smaller bounds", async () => {
		const file = newFile();
		const one = await started({ file, maxEvents: 6, maxEventsPerChannel: 3 });
		await one.send(a, 1, 2, 3, 4);
		await one.send(b, 5, 6, 7);
		const [evicted] = await one.transport.ends([a], never);
		expect(evicted?.offset).toBe(4);
		await one.transport.close();
		const two = await started({ file, maxEvents: 6, maxEventsPerChannel: 2 }, 2);
		expect((await two.transport.ends([a], never))[0]).toEqual(evicted);
		expect(await readPage(two.transport, b, BEGINNING)).toMatchObject({ verdict: "retention", entries: { length: 2 } });
		await two.transport.close();
	});

	test("the place is the path's: known before the start, and another for another file", async () => {
		const [file, other] = [newFile(), newFile()];
		const place = (path: string, seed = 1) => createBench({ file: path }, seed).transport.place;
		expect(place(file, 1)).toBe(place(file, 2));
		expect(place(file)).not.toBe(place(other));
	});

	test("[P3] the same path with another file has another epoch", async () => {
		const file = newFile();
		const one = await started({ file }, 1);
		await one.send(a, 1, 2);
		const [end] = await one.transport.ends([a], never);
		await one.transport.close();
		rmSync(file);
		const two = await started({ file }, 2);
		await two.send(a, 3, 4);
		expect(await readPage(two.transport, a, end as Position)).toMatchObject({
			verdict: "epoch",
			entries: { length: 2 },
		});
		await two.transport.close();
	});
});

describe("a process that is killed", () => {
	test("[P3] loses nothing that was accepted, keeps the order and releases the file", async () => {
		const file = newFile();
		const child = spawn(process.execPath, [join(import.meta.dirname, "killed-publisher.ts"), file], {
			stdio: ["ignore", "pipe", "inherit"],
		});
		const accepted: number[] = [];
		const gone = once(child, "exit");
		for await (const line of createInterface({ input: child.stdout })) {
			accepted.push(Number(line));
			if (accepted.length === 200) child.kill("SIGKILL");
		}
		expect(await gone).toEqual([null, "SIGKILL"]);
		const { transport } = await started({ file, maxEventsPerChannel: 10_000 });
		const page = await readPage(transport, topic("killed"), BEGINNING, 10_000);
		expect(page.verdict).toBe("whole");
		const kept = numbers(page.entries);
		expect(kept).toEqual(kept.map((_, n) => n + 1));
		expect(kept.slice(0, accepted.length)).toEqual(accepted);
		await transport.close();
	});
});

describe("a file that cannot serve", () => {
	const start = async (file: string) => createBench({ file }).transport.start({ report() {} }, never);

	test("in use by another transport: retryable, and names the file", async () => {
		const file = newFile();
		const { transport } = await started({ file });
		await expect(start(file)).rejects.toMatchObject({
			code: "TransportUnavailable",
			retryable: true,
			message: `local.file ${file} is in use by another process`,
		});
		await transport.close();
		const again = await started({ file }, 2);
		await again.transport.close();
	});

	test("not a database, another application's, another schema, a folder that is not there", async () => {
		const text = newFile();
		writeFileSync(text, "not a database at all, and long enough to be read as one".repeat(20));
		await expect(start(text)).rejects.toMatchObject({
			code: "TransportUnavailable",
			message: expect.stringContaining(text),
		});

		const foreign = newFile();
		const db = new DatabaseSync(foreign);
		db.exec("CREATE TABLE theirs (x)");
		db.close();
		await expect(start(foreign)).rejects.toMatchObject({
			code: "ConfigInvalid",
			message: expect.stringContaining("another application"),
		});

		const later = newFile();
		await (await started({ file: later })).transport.close();
		const ours = new DatabaseSync(later);
		ours.exec("PRAGMA user_version = 99");
		ours.close();
		await expect(start(later)).rejects.toMatchObject({
			code: "ConfigInvalid",
			message: expect.stringContaining("schema version 99"),
		});

		await expect(start(join(folder, "missing", "log.db"))).rejects.toMatchObject({ code: "TransportUnavailable" });
	});

	test("damaged pages are refused, not served", async () => {
		const file = newFile();
		const { transport, send } = await started({ file, maxEventsPerChannel: 1000 });
		await send(a, ...Array.from({ length: 500 }, (_, n) => n));
		await transport.close();
		const db = new DatabaseSync(file);
		db.exec("PRAGMA journal_mode = DELETE");
		const root = Number(db.prepare("SELECT rootpage FROM sqlite_schema WHERE name = 'events'").get()?.rootpage);
		const size = Number(db.prepare("PRAGMA page_size").get()?.page_size);
		db.close();
		const { openSync, writeSync, closeSync } = await import("node:fs");
		const handle = openSync(file, "r+");
		writeSync(handle, Buffer.alloc(size, 0xa5), 0, size, (root - 1) * size);
		closeSync(handle);
		await expect(start(file)).rejects.toMatchObject({ code: "TransportUnavailable", retryable: false });
	});
});

describe("a file that was tampered with", () => {
	test("[P3] an envelope that cannot be read is a gap in its place; after a hole only what follows is trusted", async () => {
		const file = newFile();
		const one = await started({ file });
		await one.send(a, 1, 2, 3);
		await one.send(b, 1, 2, 3);
		await one.transport.close();
		const db = new DatabaseSync(file);
		db.exec(
			`UPDATE events SET envelope = replace(envelope, '"v":1', '"v":99') WHERE n = 2 AND log = (SELECT id FROM logs WHERE key = '${a.key}')`,
		);
		db.exec(`DELETE FROM events WHERE n = 2 AND log = (SELECT id FROM logs WHERE key = '${b.key}')`);
		db.close();
		const { transport } = createBench({ file }, 2);
		const reported: unknown[] = [];
		await transport.start({ report: (event) => void reported.push(event) }, never);
		expect(numbers((await readPage(transport, a, BEGINNING)).entries)).toEqual([1, undefined, 3]);
		expect(reported).toMatchObject([{ kind: "error", error: { code: "UnknownEnvelopeVersion" } }]);
		expect(await readPage(transport, b, BEGINNING)).toMatchObject({ verdict: "retention", entries: { length: 1 } });
		await transport.close();
	});

	test("a log of a channel that this release does not know is told and left where it is: the others are there", async () => {
		const file = newFile();
		const one = await started({ file });
		await one.send(a, 1);
		await one.send(b, 1, 2);
		await one.transport.close();
		const rename = (from: string, to: string) => {
			const db = new DatabaseSync(file);
			db.prepare("UPDATE logs SET key = ? WHERE key = ?").run(to, from);
			db.close();
		};
		const later = a.key.replace("/topic:", "/kind of a later release:");
		rename(a.key, later);
		const { transport } = createBench({ file }, 2);
		const reported: unknown[] = [];
		await transport.start({ report: (event) => void reported.push(event) }, never);
		expect(reported).toMatchObject([{ kind: "error", error: { code: "InvalidChannel" } }]);
		expect(numbers((await readPage(transport, b, BEGINNING)).entries)).toEqual([1, 2]);
		await transport.close();
		rename(later, a.key);
		const again = await started({ file }, 3);
		expect(numbers((await readPage(again.transport, a, BEGINNING)).entries)).toEqual([1]);
		await again.transport.close();
	});
});

/** As of Node before 22.16, which does not say whether a transaction is open. */
function olderDatabase(...given: ConstructorParameters<typeof DatabaseSync>): DatabaseSync {
	return new Proxy(new DatabaseSync(...given), {
		get(database, name) {
			const value: unknown = name === "isTransaction" ? undefined : Reflect.get(database, name, database);
			return typeof value === "function" ? value.bind(database) : value;
		},
	});
}

function useOlderNode(): () => void {
	const { getBuiltinModule } = process;
	process.getBuiltinModule = ((id: string) => {
		const found: object = getBuiltinModule(id as "node:sqlite");
		return id === "node:sqlite" ? { ...found, DatabaseSync: olderDatabase } : found;
	}) as typeof getBuiltinModule;
	return () => {
		process.getBuiltinModule = getBuiltinModule;
	};
}

test.each([
	["this Node", () => () => {}],
	["Node 22.13", useOlderNode],
])("on %s, a write that fails changes nothing, and what was noted is written with the next one", (_node, use) => {
	onTestFinished(use());
	const file = newFile();
	const store = createSqliteStore(file);
	store.open("00000001");
	const event = (offset: number) => ({ offset, id: `id-${offset}`, at: 1, text: "{}" });
	store.append?.("k", 0, 0, [event(1), event(2)]);
	store.append?.("gone", 0, 0, [event(1)]);
	store.noteDrop("k", 1, 5);
	store.noteEviction("gone", 7, 9);
	expect(() => store.append?.("k", 1, 5, [event(3), event(2)])).toThrow(/cannot be written/);
	store.append?.("k", 1, 5, [event(3)]);
	store.close();
	expect(() => store.append?.("k", 1, 5, [event(4)])).toThrow(/is closed/);
	const again = createSqliteStore(file);
	expect(again.open("00000002")).toEqual({
		epoch: "00000001",
		floor: 7,
		floorAt: 9,
		logs: [{ key: "k", base: 1, baseAt: 5, events: [event(2), event(3)] }],
	});
	again.close();
});
