import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createScene, type Scene } from "./scene.ts";
import { until } from "./scripted-cell.ts";

let cell: Scene["cell"];
let client: Scene["client"];
let end: Scene["end"];
beforeEach(async () => {
	({ cell, client, end } = await createScene());
});
afterEach(() => end());

describe("what is missing is told, before the next message of the channel", () => {
	it("retention: the log begins after the cursor", async () => {
		for (let n = 1; n <= 5; n += 1) cell.append("a", `m${n}`);
		cell.trim("a", 3);
		const c = client({ cursor: '{"a":"0000aaaa.1"}' });
		await until("the rest", () => c.got.length === 2);
		expect(c.missing()).toEqual(["retention"]);
		expect(c.got.map(({ missing }) => missing)).toEqual(["retention", undefined]);
	});

	it("epoch: the log is another one than the cursor's", async () => {
		cell.append("a", "new");
		const c = client({ cursor: '{"a":"0000bbbb.7"}' });
		await until("the new log", () => c.got.length === 1);
		expect(c.got[0]?.missing).toBe("epoch");
	});

	it("epoch: the log became another one while it was followed", async () => {
		const c = client();
		await c.opened();
		cell.append("a", "one");
		cell.reset("a", "0000cccc");
		cell.append("a", "two");
		await until("the new log", () => c.got.length === 2);
		expect(c.got.map(({ missing }) => missing)).toEqual([undefined, "epoch"]);
	});

	it("epoch: the log is gone altogether", async () => {
		const c = client({ cursor: '{"a":"0000aaaa.3"}' });
		await c.opened();
		cell.append("a", "one");
		await until("the new log", () => c.got.length === 1);
		expect(c.missing()).toEqual(["epoch"]);
	});

	it("gap: a place in the log that holds no message", async () => {
		const c = client();
		await c.opened();
		cell.append("a", null);
		cell.append("a", "one");
		await until("the message", () => c.got.length === 1);
		expect(c.got[0]?.missing).toBe("gap");
		expect(c.connection.cursor).toBe('{"a":"0000aaaa.2"}');
	});

	it("gap: an entry whose predecessors no page brings", async () => {
		const c = client();
		await c.opened();
		cell.last.send({
			t: "entries",
			channel: "a",
			entries: [{ p: "0000aaaa.9", prev: "0000aaaa.8", e: { id: "x", message: { method: "nine" } } }],
		});
		await until("the message", () => c.got.length === 1);
		expect(c.got[0]?.missing).toBeDefined();
	});
});
