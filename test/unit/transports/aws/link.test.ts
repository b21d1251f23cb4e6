import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { formatPosition } from "../../../../lambda/layer/src/core/position.ts";
import { createLinkHarness } from "./link-harness.ts";
import { EPOCH, entryFrame, until } from "./scripted-api.ts";

type Harness = Awaited<ReturnType<typeof createLinkHarness>>;
let h: Harness;
beforeEach(async () => {
	h = await createLinkHarness();
});
afterEach(() => h.close());

describe("subscribing", () => {
	it("resolves ready with the end that the cell read", async () => {
		h.api.ends.set(h.key("a"), 7);
		await h.start();
		expect(formatPosition(await h.follow("a").subscription.ready)).toBe(`${EPOCH}.7`);
		expect(formatPosition(await h.follow("new").subscription.ready)).toBe("00000000.0");
	});

	it("puts the channels of one tick into few frames of at most 30 KB, few at a time", async () => {
		let held: (() => void)[] = [];
		h.api.answer = (_frame, connection, usual) => {
			held.push(() => connection.send(usual()));
			return undefined;
		};
		await h.start();
		const followers = Array.from({ length: 1_500 }, (_, n) => h.follow(`${"x".repeat(100)}${n}`));
		let most = 0;
		const all = Promise.all(followers.map(({ subscription }) => subscription.ready));
		let done = false;
		all.then(() => {
			done = true;
		});
		await until("every channel stands", () => {
			most = Math.max(most, held.length);
			for (const release of held.splice(0, 1)) release();
			held = held.slice();
			return done;
		});
		expect(most).toBeLessThanOrEqual(4);
		expect(Math.max(...h.api.last.bytes)).toBeLessThanOrEqual(30 * 1024);
		expect(h.api.last.frames.length).toBeLessThan(12);
		expect(h.api.last.rows.size).toBe(1_500);
	});

	it("never has a channel in two unanswered frames", async () => {
		const open = new Set<string>();
		h.api.answer = (frame, connection, usual) => {
			for (const key of frame.channels ?? []) {
				expect(open.has(key)).toBe(false);
				open.add(key);
			}
			setTimeout(() => {
				for (const key of frame.channels ?? []) open.delete(key);
				connection.send(usual());
			}, 5);
			return undefined;
		};
		await h.start();
		for (let round = 0; round < 10; round += 1) {
			const { subscription } = h.follow("a");
			await new Promise((resolve) => setTimeout(resolve, round % 4));
			subscription.close();
			await new Promise((resolve) => setTimeout(resolve, round % 3));
		}
		const last = h.follow("a");
		await last.subscription.ready;
		await until("the row stands", () => h.api.last.rows.has(h.key("a")));
		h.api.publish(h.key("a"));
		await until("the entry", () => last.entries.length === 1);
	});

	it("asks anew for a channel that still stands, so that its end is not an old one", async () => {
		await h.start();
		const first = h.follow("a");
		await first.subscription.ready;
		h.api.ends.set(h.key("a"), 3);
		first.subscription.close();
		expect(formatPosition(await h.follow("a").subscription.ready)).toBe(`${EPOCH}.3`);
	});

	it("removes the rows of a channel that nobody follows any longer", async () => {
		await h.start();
		const { subscription } = h.follow("a");
		await subscription.ready;
		subscription.close();
		await until("the row is gone", () => h.api.last.rows.size === 0);
	});

	it("rejects ready for a refused channel, and does not ask for it again", async () => {
		h.api.refusals.set(h.key("a"), "ScopeRequired");
		await h.start();
		await expect(h.follow("a").subscription.ready).rejects.toMatchObject({
			code: "TransportRefused",
			data: { code: "ScopeRequired" },
		});
		h.api.last.cut();
		await h.reconnected(2);
		await h.follow("b").subscription.ready;
		expect(h.api.last.frames.flatMap(({ channels }) => channels ?? [])).toEqual([h.key("b")]);
	});

	it("asks again later where the refusal is for now only", async () => {
		h.api.refusals.set(h.key("a"), "TransportUnavailable");
		await h.start();
		const { subscription } = h.follow("a");
		await until("the refusal", () => h.api.last.frames.length === 1);
		h.api.refusals.clear();
		await until("a second try", async () => {
			await h.clock.advance(200);
			return h.api.last.frames.length === 2;
		});
		await subscription.ready;
	});

	it("ends the wait for ready at its deadline, and tells the end when it stands after all", async () => {
		h.api.handshake = 503;
		await expect(h.start()).rejects.toMatchObject({ code: "TransportUnavailable", data: { status: 503 } });
		const told = h.follow("a");
		const late = expect(told.subscription.ready).rejects.toMatchObject({ code: "DeadlineExceeded" });
		await h.clock.advance(15_000);
		await late;
		h.api.handshake = "accept";
		h.api.ends.set(h.key("a"), 2);
		await h.start();
		await until("the end is told", () => told.suspects.length === 1);
		expect(told.suspects).toEqual([`${EPOCH}.2`]);
	});
});

describe("entries", () => {
	it("reach the channel's follower with position and prev", async () => {
		await h.start();
		const a = h.follow("a");
		const b = h.follow("b");
		await Promise.all([a.subscription.ready, b.subscription.ready]);
		h.api.publish(h.key("a"));
		h.api.publish(h.key("a"));
		await until("two entries", () => a.entries.length === 2);
		expect(a.entries).toEqual([`${EPOCH}.1`, `${EPOCH}.2`]);
		expect(b.entries).toEqual([]);
	});

	it("of another channel inside the frame are handed over as a gap and reported, never as content", async () => {
		await h.start();
		const told = h.follow("a");
		await told.subscription.ready;
		const foreign = {
			v: 1,
			id: "00000000-0000-7000-8000-000000000001",
			channel: h.key("b"),
			message: { jsonrpc: "2.0", method: "notifications/x" },
			publishedAt: 1,
			origin: "test",
			lanes: ["aws"],
		};
		h.api.last.send(entryFrame(h.key("a"), 1, foreign));
		await until("the entry", () => told.entries.length === 1);
		expect(told.envelopes).toEqual([undefined]);
		expect(h.events).toContainEqual(expect.objectContaining({ kind: "error" }));
	});

	it("of a moved session end its follower, whose rows are removed", async () => {
		await h.start();
		const told = h.follow("a");
		await told.subscription.ready;
		h.api.last.send({ t: "moved", channel: h.key("a") });
		await until("the end", () => told.ends.length === 1);
		expect(told.ends).toEqual(["moved"]);
		await until("the row is gone", () => h.api.last.rows.size === 0);
	});
});

describe("closing", () => {
	it("leaves no timer and no socket, however often and whenever it is called", async () => {
		await h.start();
		const told = h.follow("a");
		await Promise.all([h.link.close(), h.link.close()]);
		await expect(told.subscription.ready).rejects.toMatchObject({ code: "Closed" });
		await until("the API sees it", () => !h.api.last.open);
		expect(h.clock.waiting).toBe(0);
		expect(h.link.state).toBe("idle");
	});

	it("does not wait for a peer that answers no goodbye, and lets go of its socket", async () => {
		const sockets = () => process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length;
		const before = sockets();
		await h.start();
		h.api.last.freeze();
		const closing = h.link.close();
		await h.clock.advance(1_000);
		await closing;
		expect(h.clock.waiting).toBe(0);
		// The API's own side of it stays: it no longer reads.
		await until("the socket is gone", () => sockets() <= before + 1);
	});

	it("stops an attempt that is under way", async () => {
		await h.start();
		h.api.handshake = "silent";
		h.api.last.cut();
		await until("the next attempt", async () => {
			await h.clock.advance(50);
			return h.link.state === "dialing";
		});
		await h.link.close();
		expect(h.clock.waiting).toBe(0);
	});
});

it("names the status that refused it, and starts when it is asked again", async () => {
	h.api.handshake = 403;
	await expect(h.start()).rejects.toMatchObject({
		code: "TransportUnavailable",
		retryable: false,
		data: { status: 403 },
	});
	expect(h.clock.waiting).toBe(0);
	h.api.handshake = "accept";
	await h.start();
	expect(h.link.state).toBe("open");
});

it("gives a handshake that is never answered up at the deadline", async () => {
	h.api.handshake = "silent";
	const refused = expect(h.start()).rejects.toMatchObject({ code: "DeadlineExceeded" });
	await h.clock.advance(10_000);
	await refused;
});

describe("a session that moved while the connection was away", () => {
	it("is asked for again as one that stood, and ends as moved; one that is new to the link claims", async () => {
		await h.start();
		const [kept, moved] = [h.follow("kept"), h.follow("moved")];
		await Promise.all([kept.subscription.ready, moved.subscription.ready]);
		h.api.refusals.set(h.key("moved"), "moved");
		h.api.last.cut();
		await h.reconnected(2);
		await until("the move is told", () => moved.ends.length > 0);
		expect([moved.ends, kept.ends]).toEqual([["moved"], []]);
		const fresh = h.follow("fresh");
		await fresh.subscription.ready;
		const flags = h.api.connections.flatMap(({ frames }) =>
			frames.filter(({ action }) => action === "subscribe").map(({ channels, again }) => [channels?.length, again]),
		);
		expect(flags).toEqual([
			[2, undefined],
			[2, true],
			[1, undefined],
		]);
	});
});
