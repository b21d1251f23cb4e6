import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createScene, type Scene } from "./scene.ts";
import { until } from "./scripted-cell.ts";

let cell: Scene["cell"];
let clock: Scene["clock"];
let client: Scene["client"];
let end: Scene["end"];
beforeEach(async () => {
	({ cell, clock, client, end } = await createScene());
});
afterEach(() => end());

describe("following", () => {
	it("starts now without a cursor, with the ticket as a subprotocol", async () => {
		cell.append("a", "before");
		const c = client();
		await c.opened();
		cell.append("a", "one");
		cell.append("a", "two");
		await until("two messages", () => c.got.length === 2);
		expect(c.got[0]).toEqual({
			channel: "a",
			message: { jsonrpc: "2.0", method: "one" },
			position: "0000aaaa.2",
			id: "id-2",
		});
		expect(cell.last.ticket).toBe("t");
		expect(c.connection.cursor).toBe('{"a":"0000aaaa.3"}');
	});

	it("goes on from a cursor, over as many pages as it takes, then live", async () => {
		cell.pageEntries = 3;
		for (let n = 1; n <= 10; n += 1) cell.append("a", `m${n}`);
		const c = client({ cursor: '{"a":"0000aaaa.2"}' });
		await until("the past", () => c.got.length === 8);
		cell.append("a", "live");
		await until("the present", () => c.got.length === 9);
		expect(c.methods()).toEqual(["m3", "m4", "m5", "m6", "m7", "m8", "m9", "m10", "live"]);
		expect(c.missing()).toEqual([]);
	});

	it("reads everything of a log that did not exist when the cursor was made", async () => {
		const first = client();
		await first.opened();
		const { cursor } = first.connection;
		first.connection.close();
		cell.append("a", "one");
		const c = client({ cursor });
		await until("the message", () => c.got.length === 1);
		expect(c.missing()).toEqual([]);
	});

	it("drops repetitions, and fills a hole that the next entry shows", async () => {
		const c = client();
		await c.opened();
		let lose = false;
		cell.posts = (send) => {
			if (lose) return;
			send();
			send();
		};
		cell.append("a", "one");
		lose = true;
		cell.append("a", "two");
		lose = false;
		cell.append("a", "three");
		await until("all", () => c.got.length >= 3);
		await clock.settle();
		expect(c.methods()).toEqual(["one", "two", "three"]);
	});

	it("drops what a page repeats", async () => {
		for (let n = 1; n <= 4; n += 1) cell.append("a", `m${n}`);
		cell.answer = (frame, connection) =>
			cell.usual(frame.action === "read" ? { ...frame, from: "0000aaaa.1" } : frame, connection);
		const c = client({ cursor: '{"a":"0000aaaa.2"}' });
		await until("the rest", () => c.got.length >= 2);
		expect(c.methods()).toEqual(["m3", "m4"]);
	});

	it("holds live entries back while it reads, and bounds what it holds", async () => {
		cell.append("a", "old");
		let release: (() => void) | undefined;
		cell.answer = (frame, connection) => {
			const page = cell.usual(frame, connection);
			if (frame.action !== "read" || release !== undefined) return page;
			release = () => connection.send(page);
			return undefined;
		};
		const c = client({ cursor: '{"a":"00000000.0"}' });
		await until("the read", () => release !== undefined);
		for (let n = 0; n < 200; n += 1) cell.append("a", `m${n}`);
		release?.();
		await until("all", () => c.got.length === 201);
		expect(c.methods()).toEqual(["old", ...Array.from({ length: 200 }, (_, n) => `m${n}`)]);
	});

	it("takes what was said while a page was on its way for no gap, though the check saw its end before", async () => {
		let late: (() => void) | undefined;
		cell.append("a", "one");
		cell.append("a", "two");
		cell.answer = (frame, connection) => {
			const answer = cell.usual(frame, connection);
			if (frame.action !== "read" || late !== undefined) return answer;
			late = () => connection.send(answer);
			return undefined;
		};
		const c = client({ cursor: '{"a":"0000aaaa.1"}', checkMs: 4_000 });
		await until("a read", async () => {
			await clock.advance(50);
			return late !== undefined;
		});
		cell.append("a", "three");
		await clock.advance(4_000);
		await until("the check", () => cell.last.frames.filter(({ action }) => action === "subscribe").length === 2);
		await new Promise((resolve) => setTimeout(resolve, 20));
		late?.();
		await until("all", () => c.got.length === 2 || c.missing().length > 0);
		expect([c.methods(), c.missing()]).toEqual([["two", "three"], []]);
	});

	it("keeps no more than it may, and reads the rest when the consumer has taken half", async () => {
		const c = client({ onMessage: undefined, maxQueued: 10 });
		await c.opened();
		for (let n = 0; n < 100; n += 1) cell.append("a", `m${n}`);
		const methods: unknown[] = [];
		for await (const { message } of c.connection) {
			methods.push(message.method);
			if (methods.length === 100) break;
		}
		expect(methods).toEqual(Array.from({ length: 100 }, (_, n) => `m${n}`));
		expect(c.missing()).toEqual([]);
		expect(cell.last.frames.some(({ action }) => action === "read")).toBe(true);
	});

	it("has a cursor of what was taken, not of what came", async () => {
		const c = client({ onMessage: undefined });
		await c.opened();
		for (const method of ["one", "two", "three"]) cell.append("a", method);
		const messages = c.connection[Symbol.asyncIterator]();
		await messages.next();
		expect(c.connection.cursor).toBe('{"a":"0000aaaa.1"}');
	});
});
