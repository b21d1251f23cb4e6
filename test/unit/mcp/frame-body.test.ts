import { expect, test } from "vitest";
import { leavingOf } from "../../../lambda/layer/src/core/outlet.ts";
import { FrameBody, FrameStream, MAX_FRAMES } from "../../../lambda/layer/src/mcp/frame-body.ts";
import { scriptOutlet } from "../../support/outlet.ts";

const frame = (n: number) => `${n}`;
const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);

function open() {
	const said: unknown[] = [];
	const more = { refill() {} };
	const body = new FrameBody({
		refill: () => more.refill(),
		cancel: async (reason) => void said.push(["cancel", reason]),
	});
	return { body, said, more };
}

/** Two ways to have a body: to iterate it, and to read it. */
const WAYS = {
	iterating(body: FrameBody) {
		const iterator = new Response(new FrameStream(body)).body?.[Symbol.asyncIterator]();
		return {
			next: async () => (await iterator?.next())?.value as Uint8Array | undefined,
			leave: async () => void (await iterator?.return?.()),
		};
	},
	reading(body: FrameBody) {
		const reader = new Response(new FrameStream(body)).body?.getReader();
		return { next: async () => (await reader?.read())?.value, leave: async () => reader?.cancel() };
	},
};

for (const [way, taking] of Object.entries(WAYS)) {
	test(`${way}: frames come in order, whether they wait or are waited for, and what waits at the end comes before it`, async () => {
		const { body } = open();
		const { next } = taking(body);
		const first = next();
		body.push(frame(0));
		for (let n = 1; n < 4; n += 1) body.push(frame(n));
		expect(text(await first)).toBe("0");
		expect(text(await next())).toBe("1");
		body.end();
		body.push(frame(9));
		expect([text(await next()), text(await next())]).toEqual(["2", "3"]);
		expect([await next(), await next()]).toEqual([undefined, undefined]);
	});

	test(`${way}: an end and a failure reach who waits`, async () => {
		const ended = open();
		const last = taking(ended.body).next();
		ended.body.end();
		expect(await last).toBeUndefined();
		const failed = open();
		const lost = taking(failed.body).next();
		failed.body.fail(new Error("the source broke"));
		await expect(lost).rejects.toThrow("the source broke");
		const late = open();
		const { next } = taking(late.body);
		late.body.push(frame(0));
		late.body.fail(new Error("the source broke"));
		await expect(next()).rejects.toThrow("the source broke");
	});

	test(`[P6] ${way}: room is counted, and each frame taken makes some`, async () => {
		const { body, more } = open();
		const { next } = taking(body);
		let n = 0;
		const fill = () => {
			while (body.hasRoom && n < MAX_FRAMES + 10) body.push(frame(n++));
		};
		more.refill = fill;
		fill();
		expect(n).toBe(MAX_FRAMES);
		for (let at = 0; at < MAX_FRAMES + 10; at += 1) expect(text(await next())).toBe(`${at}`);
		expect(n).toBe(MAX_FRAMES + 10);
	});

	test(`${way}: who leaves is told to the host, and nothing is kept for it`, async () => {
		const { body, said } = open();
		const { next, leave } = taking(body);
		body.push(frame(0));
		await next();
		await leave();
		expect(said).toEqual([["cancel", undefined]]);
		body.push(frame(1));
		expect(await next()).toBeUndefined();
	});
}

test("a response keeps the body that it is given, so that who iterates it takes frames directly", () => {
	const { body } = open();
	const given = new Response(null, { headers: { "content-type": "text/event-stream" } });
	expect(new Response(new FrameStream(body), given).body?.[Symbol.asyncIterator]()).toBe(body);
});

test("a stream that is cancelled while somebody waits past it ends for them too", async () => {
	const { body, said } = open();
	const stream = new FrameStream(body);
	const next = stream[Symbol.asyncIterator]().next();
	await stream.cancel("enough");
	expect(await next).toEqual({ value: undefined, done: true });
	expect(said).toEqual([["cancel", "enough"]]);
});

test("a body that is read is not iterated beside it", async () => {
	const stream = new FrameStream(open().body);
	stream.getReader();
	expect(() => stream[Symbol.asyncIterator]()).toThrow(TypeError);
});

test("a way out takes what waits and then each frame at once, in order while the connection pushes back", () => {
	const { body, more } = open();
	let n = 3;
	more.refill = () => {
		if (n < 6) body.push(frame(n++));
	};
	for (let at = 0; at < 3; at += 1) body.push(frame(at));
	const outlet = scriptOutlet(2);
	const { said } = outlet;
	const leaving = leavingOf(new FrameStream(body));
	leaving?.leaveBy(outlet);
	expect(said).toEqual(["0", "1"]);
	body.push("x");
	body.end();
	expect(said).toEqual(["0", "1", "ending"]);
	outlet.takes = 100;
	leaving?.room();
	expect(said).toEqual(["0", "1", "ending", "2", "3", "4", "x", "ended"]);
});

test("a way out hears of an end and of a failure, whether they came before it or after", () => {
	for (const isEarly of [true, false]) {
		const [ended, failed] = [open().body, open().body];
		const [one, other] = [scriptOutlet(), scriptOutlet()];
		if (!isEarly) {
			ended.leaveBy(one);
			failed.leaveBy(other);
		}
		ended.push(frame(0));
		ended.end();
		failed.fail(new Error("broken"));
		if (isEarly) {
			ended.leaveBy(one);
			failed.leaveBy(other);
		}
		expect([one.said, other.said]).toEqual([["0", "ended"], ["failed: broken"]]);
	}
});

test("[P6] room is counted for a way out as well, and who leaves it is told to the host", () => {
	const { body, said } = open();
	const outlet = scriptOutlet(1);
	const leaving = leavingOf(new FrameStream(body));
	leaving?.leaveBy(outlet);
	body.push("taken");
	for (let n = 0; body.hasRoom; n += 1) body.push(frame(n));
	leaving?.room();
	expect(body.hasRoom).toBe(true);
	leaving?.cancel();
	expect(said).toEqual([["cancel", undefined]]);
	body.push("late");
	expect(outlet.takes).toBe(-1);
});

test("a body that is read has no other way out", () => {
	const stream = new FrameStream(open().body);
	stream.getReader();
	expect(leavingOf(stream)).toBeUndefined();
	expect(leavingOf(new Response("text").body as ReadableStream)).toBeUndefined();
});
