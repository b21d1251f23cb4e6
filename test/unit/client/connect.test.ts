import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type ClientEvent, type Connection, connect, type Delivery } from "../../../lambda/layer/src/client/index.ts";
import type { ConnectOptions } from "../../../lambda/layer/src/client/options.ts";
import { createFakeClock, type FakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";
import { createScriptedCell, type ScriptedCell, until } from "./scripted-cell.ts";

const MINUTE = 60_000;
let cell: ScriptedCell;
let clock: FakeClock;
let open: Connection[];
beforeEach(async () => {
	cell = await createScriptedCell();
	clock = createFakeClock();
	open = [];
});
afterEach(async () => {
	for (const connection of open) connection.close();
	expect(clock.waiting).toBe(0);
	await cell.close();
});

function client(options: Partial<ConnectOptions> = {}) {
	const got: Delivery[] = [];
	const events: ClientEvent[] = [];
	const connection = connect(cell.url, {
		ticket: "t",
		channels: ["a"],
		clock,
		random: () => 0.5,
		onMessage: (delivery) => got.push(delivery),
		onEvent: (event) => events.push(event),
		...options,
	});
	open.push(connection);
	return {
		connection,
		got,
		events,
		methods: () => got.map(({ message }) => message.method),
		missing: () => events.flatMap((event) => (event.type === "missing" ? [event.reason] : [])),
		opened: (times = 1) =>
			until(`open ${times}`, async () => {
				await clock.advance(50);
				return events.filter(({ type }) => type === "open").length >= times;
			}),
	};
}

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

describe("connections", () => {
	it("are replaced with a fresh ticket, and the lanes go on from where they were", async () => {
		let tickets = 0;
		const c = client({ ticket: async () => `t${++tickets}` });
		await c.opened();
		cell.append("a", "one");
		await until("one", () => c.got.length === 1);
		cell.last.cut();
		await until("the cut", () => !cell.last.open);
		cell.append("a", "two");
		await c.opened(2);
		await until("two", () => c.got.length === 2);
		expect(cell.connections.map(({ ticket }) => ticket)).toEqual(["t1", "t2"]);
		expect(c.missing()).toEqual([]);
	});

	it("are tried again when they are refused, when the ticket fails, and when nothing can be read", async () => {
		let tickets = 0;
		cell.accepts = false;
		const c = client({
			ticket: () => {
				tickets += 1;
				if (tickets === 2) throw new Error("no ticket today");
				return "t";
			},
		});
		await until("three tries", async () => {
			await clock.advance(100);
			return tickets >= 3;
		});
		cell.accepts = true;
		await c.opened();
		for (const garbage of ["{", "[]", { t: "entries", channel: "a", entries: [{}] }, { t: "subscribed", ref: 0 }]) {
			const { length } = cell.connections;
			cell.last.send(garbage);
			await until("the next connection", async () => {
				await clock.advance(100);
				return cell.connections.length > length && cell.last.rows.has("a");
			});
		}
	});

	it("end with the server's reason, and are replaced", async () => {
		const c = client();
		await c.opened();
		cell.last.send({ t: "end", reason: "expired" });
		await c.opened(2);
		expect(c.events.find(({ type }) => type === "lost")).toMatchObject({ error: { data: { reason: "expired" } } });
	});

	it("ask for the ends inside ten idle minutes, and are replaced when no answer comes", async () => {
		const c = client();
		await c.opened();
		for (let minute = 0; minute < 20; minute += 1) {
			await clock.advance(MINUTE);
			await new Promise((resolve) => setTimeout(resolve, 2));
		}
		expect(cell.connections).toHaveLength(1);
		expect(cell.last.frames.length).toBeGreaterThanOrEqual(4);
		cell.last.freeze();
		await clock.advance(5 * MINUTE);
		await c.opened(2);
	});

	it("find the last message by that, when its post was lost", async () => {
		const c = client();
		await c.opened();
		cell.posts = () => undefined;
		cell.append("a", "last");
		await clock.advance(4.75 * MINUTE); // 5 minutes less half of a tenth: random is fixed at one half
		await until("the message", () => c.got.length === 1);
		expect(cell.connections).toHaveLength(1);
	});

	it("renew their ticket before it ends", async () => {
		const exp = Math.floor(clock.now() / 1000) + 600;
		const jwt = `x.${Buffer.from(JSON.stringify({ exp })).toString("base64url")}.y`;
		const c = client({ ticket: () => jwt });
		await c.opened();
		await clock.advance(8 * MINUTE);
		await until("the renewal", () => cell.last.frames.some(({ action }) => action === "renew"));
		await c.connection.renew();
		expect(cell.connections).toHaveLength(1);
	});

	it("follow a channel no longer that is refused or has moved, and end with the last one", async () => {
		cell.refused.set("b", "ScopeRequired");
		const c = client({ channels: ["a", "b"], onMessage: undefined });
		await c.opened();
		cell.last.send({ t: "moved", channel: "a" });
		const all: Delivery[] = [];
		for await (const delivery of c.connection) all.push(delivery);
		expect(c.events.filter(({ type }) => type === "ended")).toEqual([
			{ type: "ended", channel: "b", reason: "ScopeRequired" },
			{ type: "ended", channel: "a", reason: "moved" },
		]);
	});
});

it("refuses a malformed cursor at once", () => {
	expect(() => client({ cursor: "nonsense" })).toThrow(expect.objectContaining({ code: "InvalidCursor" }));
	expect(() => client({ cursor: '{"a":"1"}' })).toThrow(expect.objectContaining({ code: "InvalidCursor" }));
});

it("ends its iteration when it is closed, before it ever connected", async () => {
	const c = client({ onMessage: undefined });
	c.connection.close();
	for await (const _delivery of c.connection) throw new Error("there is nothing");
});
