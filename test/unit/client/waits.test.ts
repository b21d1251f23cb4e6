/** How often the client asks: of a server that is away, that refuses reads for now, or under a clock that is wrong. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
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

const jwt = (claims: object) => `x.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.y`;

describe("while the server is away, the client waits longer each time", () => {
	const dials = () => {
		const at: number[] = [];
		const ticket = () => {
			at.push(clock.monotonic());
			return "t";
		};
		const last = async (count: number) => {
			await until(`${count} dials`, async () => {
				await clock.advance(250);
				return at.length >= count;
			});
			return (at.at(-1) ?? 0) - (at.at(-2) ?? 0);
		};
		return { ticket, last };
	};

	it("however long it had been connected", async () => {
		const { ticket, last } = dials();
		const c = client({ ticket, checkMs: 60 * MINUTE });
		await c.opened();
		await clock.advance(30 * MINUTE);
		cell.accepts = false;
		cell.last.cut();
		expect(await last(11)).toBeGreaterThan(5_000);
	});

	it("however long ago its page was opened", async () => {
		await clock.advance(30 * MINUTE);
		cell.accepts = false;
		const { ticket, last } = dials();
		client({ ticket });
		expect(await last(10)).toBeGreaterThan(5_000);
	});
});

it("renews a ticket by its own length, whatever the clock here says", async () => {
	let tickets = 0;
	// The clock is a day ahead: each ticket seems to have ended long ago.
	const iat = Math.floor(clock.now() / 1000) - 86_400;
	const c = client({ ticket: () => jwt({ iat, exp: iat + 600, jti: ++tickets }) });
	await c.opened();
	for (let second = 0; second < 60; second += 1) {
		await clock.advance(1_000);
		await new Promise((resolve) => setTimeout(resolve, 2));
	}
	expect(tickets).toBe(1);
	await clock.advance(7 * MINUTE);
	await until("the renewal", () => cell.last.frames.some(({ action }) => action === "renew"));
});

describe("a page that is refused", () => {
	it.each(["TransportRefused", "TransportUnavailable"])(
		"for now (%s) is asked for again, later, on the same connection",
		async (code) => {
			const refusals = 6;
			let reads = 0;
			cell.answer = (frame, connection) => {
				if (frame.action !== "read" || ++reads > refusals) return cell.usual(frame, connection);
				return { t: "error", ref: frame.ref, code, message: "not now" };
			};
			const c = client({ channels: ["a", "b"], cursor: JSON.stringify({ a: "0000aaaa.1", b: "0000aaaa.1" }) });
			for (const key of ["a", "b"]) for (const method of ["one", "two"]) cell.append(key, `${key} ${method}`);
			const from = clock.monotonic();
			await until("both", async () => {
				await clock.advance(10);
				return c.got.length === 2;
			});
			expect(clock.monotonic() - from).toBeGreaterThan(500);
			expect(cell.connections).toHaveLength(1);
			expect(c.missing()).toEqual([]);
		},
	);

	it("for good takes the connection with it", async () => {
		let reads = 0;
		cell.answer = (frame, connection) => {
			if (frame.action !== "read" || ++reads > 1) return cell.usual(frame, connection);
			return { t: "error", ref: frame.ref, code: "TicketInvalid", message: "the ticket has ended" };
		};
		const c = client({ cursor: JSON.stringify({ a: "0000aaaa.1" }) });
		for (const method of ["one", "two"]) cell.append("a", method);
		await until("the message", async () => {
			await clock.advance(50);
			return c.got.length === 1;
		});
		expect(cell.connections).toHaveLength(2);
	});
});
