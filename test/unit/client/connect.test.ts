import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Delivery } from "../../../lambda/layer/src/client/index.ts";
import { createScene, type Scene } from "./scene.ts";
import { until } from "./scripted-cell.ts";

const MINUTE = 60_000;
let cell: Scene["cell"];
let clock: Scene["clock"];
let client: Scene["client"];
let end: Scene["end"];
beforeEach(async () => {
	({ cell, clock, client, end } = await createScene());
});
afterEach(() => end());

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

	it("ask for what stood before as such, so that a session which moved is told and not taken back", async () => {
		const c = client();
		await c.opened();
		cell.refused.set("a", "moved");
		cell.last.cut();
		await until("the move", async () => {
			await clock.advance(100);
			return c.events.some(({ type }) => type === "ended");
		});
		expect(c.events.find(({ type }) => type === "ended")).toMatchObject({ channel: "a", reason: "moved" });
		const flags = cell.connections.map(({ frames }) => frames.find(({ action }) => action === "subscribe")?.again);
		expect(flags).toEqual([undefined, true]);
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
		const iat = Math.floor(clock.now() / 1000);
		const jwt = `x.${Buffer.from(JSON.stringify({ iat, exp: iat + 600 })).toString("base64url")}.y`;
		const c = client({ ticket: () => jwt });
		await c.opened();
		await clock.advance(8 * MINUTE);
		await until("the renewal", () => cell.last.frames.some(({ action }) => action === "renew"));
		await c.connection.renew();
		expect(cell.connections).toHaveLength(1);
	});

	it.each(["TransportUnavailable", "TicketInvalid"])(
		"are replaced when a channel is refused for the moment: %s",
		async (code) => {
			let tickets = 0;
			const c = client({ channels: ["a", "b"], ticket: () => `t${++tickets}` });
			await c.opened();
			cell.refused.set("b", code);
			cell.last.cut();
			await until("some tries", async () => {
				await clock.advance(100);
				return tickets > 3;
			});
			cell.refused.clear();
			cell.append("b", "one");
			await until("the message", async () => {
				await clock.advance(100);
				return c.got.length === 1;
			});
			expect(c.events.filter(({ type }) => type === "ended" || type === "missing")).toEqual([]);
		},
	);

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
