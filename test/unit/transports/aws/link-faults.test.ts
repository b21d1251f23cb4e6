import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createLinkHarness, MINUTE } from "./link-harness.ts";
import { type ApiConnection, EPOCH, until } from "./scripted-api.ts";

type Harness = Awaited<ReturnType<typeof createLinkHarness>>;
let h: Harness;
beforeEach(async () => {
	h = await createLinkHarness();
	await h.start();
});
afterEach(() => h.close());

const followTwo = async () => {
	const followers = [h.follow("a"), h.follow("b")];
	await Promise.all(followers.map(({ subscription }) => subscription.ready));
	return followers;
};

describe("whatever ends a connection, the next one subscribes everything and tells the ends", () => {
	const endings: [string, (connection: ApiConnection) => void | Promise<void>][] = [
		["a cut", (connection) => connection.cut()],
		["an end frame", (connection) => connection.send({ t: "end", reason: "slow-consumer" })],
		["a frame that is not JSON", (connection) => connection.send("Internal server error")],
		["a frame of no known kind", (connection) => connection.send({ message: "Internal server error" })],
		["a frame over 128 KB", (connection) => connection.send("x".repeat(130 * 1024))],
		[
			"a ping that is not answered",
			async (connection) => {
				connection.freeze();
				await h.clock.advance(5 * MINUTE);
				await new Promise((resolve) => setTimeout(resolve, 10));
				await h.clock.advance(10_000);
			},
		],
		[
			"a subscribe that is not answered",
			async (connection) => {
				connection.freeze();
				h.follow("late");
				await new Promise((resolve) => setTimeout(resolve, 10));
				await h.clock.advance(10_000);
			},
		],
		[
			"a subscribe that the cell could not serve for now",
			(connection) => {
				h.api.answer = (frame, asked, usual) =>
					asked === connection
						? { t: "error", ref: frame.ref, code: "TransportUnavailable", message: "busy" }
						: usual();
				h.follow("late");
			},
		],
	];
	it.each(endings)("%s", async (_name, end) => {
		const followers = await followTwo();
		const first = h.api.last;
		h.api.ends.set(h.key("a"), 5);
		await end(first);
		await h.reconnected(2);
		await until("both are told", () => followers.every(({ suspects }) => suspects.length === 1));
		expect(followers.map(({ suspects }) => suspects[0])).toEqual([`${EPOCH}.5`, "00000000.0"]);
		h.api.publish(h.key("b"));
		await until("the entry", () => followers[1]?.entries.length === 1);
	});
});

it("pings inside ten idle minutes and stays connected by it", async () => {
	for (let passed = 0; passed < 60; passed += 1) {
		await h.clock.advance(MINUTE);
		await new Promise((resolve) => setTimeout(resolve, 2));
	}
	expect(h.api.connections).toHaveLength(1);
	expect(h.api.last.frames.filter(({ action }) => action === "ping").length).toBeGreaterThanOrEqual(11);
});

it("tries again with growing waits, reporting each failure, until the API is back", async () => {
	h.api.handshake = 503;
	h.api.last.cut();
	await until("six failures", async () => {
		await h.clock.advance(500);
		return h.events.filter(({ kind }) => kind === "error").length >= 6;
	});
	const before = h.clock.monotonic();
	h.api.handshake = "accept";
	await h.reconnected(2);
	// With random fixed at one half, the seventh wait is half of 200 ms doubled as often as it failed, or of the cap.
	expect(h.clock.monotonic() - before).toBeGreaterThan(1_000);
	expect(h.clock.monotonic() - before).toBeLessThanOrEqual(10_100);
});

describe("an address (trap 43)", () => {
	it("is signed anew for every attempt: one that waited through a freeze is refused", async () => {
		h.api.handshake = 503;
		h.api.connections[0]?.cut();
		await until("two attempts are refused", async () => {
			await h.clock.advance(1_000);
			return h.dials === 3;
		});
		h.api.handshake = "accept";
		await h.reconnected(2);
		expect(h.dials).toBeGreaterThan(3);
	});
});

describe("rotation", () => {
	// 110 minutes less half of 5 %: random is fixed at one half.
	const rotate = () => h.clock.advance(107.25 * MINUTE);
	beforeEach(async () => {
		await h.close();
		h = await createLinkHarness({ pingMs: 600 * MINUTE });
		await h.start();
	});

	it("opens the successor and subscribes everything on it before the first is closed", async () => {
		const [a] = await followTwo();
		const first = h.api.last;
		const held: (() => void)[] = [];
		h.api.answer = (_frame, connection, usual) => {
			held.push(() => connection.send(usual()));
			return undefined;
		};
		await rotate();
		await until("the successor subscribes", () => held.length === 1);
		expect(h.link.state).toBe("rotating");
		h.api.publish(h.key("a"));
		await until("the first still serves", () => a?.entries.length === 1);
		expect(first.open).toBe(true);
		held[0]?.();
		await until("the first is closed", () => !first.open);
		expect(h.link.state).toBe("open");
		expect(h.events.filter(({ kind }) => kind === "disconnected")).toEqual([]);
		expect(a?.suspects).toEqual([`${EPOCH}.1`]);
		h.api.publish(h.key("a"));
		await until("the successor serves", () => a?.entries.length === 2);
	});

	it("keeps the first while the successor cannot connect, and tries again", async () => {
		const [a] = await followTwo();
		h.api.handshake = 503;
		await rotate();
		await until("a failure", () => h.events.some(({ kind }) => kind === "error"));
		h.api.publish(h.key("a"));
		await until("the first still serves", () => a?.entries.length === 1);
		h.api.handshake = "accept";
		await h.reconnected(2);
		await until("the first is closed", () => h.api.connections[0]?.open === false);
	});

	it("goes on with the successor when the first is cut meanwhile", async () => {
		const [a] = await followTwo();
		let release: (() => void) | undefined;
		h.api.answer = (_frame, connection, usual) => {
			release = () => connection.send(usual());
			return undefined;
		};
		await rotate();
		await until("the successor subscribes", () => release !== undefined);
		h.api.connections[0]?.cut();
		await until("the cut is seen", () => h.events.some(({ kind }) => kind === "disconnected"));
		h.api.ends.set(h.key("a"), 4);
		release?.();
		await until("the end is told", () => a?.suspects.length === 1);
		expect(a?.suspects).toEqual([`${EPOCH}.4`]);
		expect(h.api.connections).toHaveLength(2);
		expect(h.link.state).toBe("open");
	});

	it("follows what is subscribed meanwhile on both", async () => {
		await followTwo();
		h.api.handshake = "silent";
		await rotate();
		const late = h.follow("late");
		await late.subscription.ready;
		h.api.connections[0]?.cut();
		await until("the cut is seen", () => h.events.some(({ kind }) => kind === "disconnected"));
		h.api.handshake = "accept";
		await h.clock.advance(10_000);
		await h.reconnected(2);
		await until("it is told the end", () => late.suspects.length === 1);
	});
});
