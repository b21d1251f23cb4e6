/** Who writes to a client that takes its time: how long they are told to wait. */
import { expect, test } from "vitest";
import { MAX_STALL_MS, SseBody } from "../../../../lambda/layer/src/mcp/session/sse-body.ts";
import { createFakeClock } from "../../../../lambda/layer/src/testing/fake-clock.ts";

const CHUNK = JSON.stringify("x".repeat(512 * 1024));

function start() {
	const clock = createFakeClock();
	const leaving = new AbortController();
	const body = new SseBody({ clock, headers: {}, signal: leaving.signal, left() {} });
	for (let n = 0; n < 4; n += 1) body.write(CHUNK, undefined);
	const waited = { isOver: false };
	void body.room?.then(() => {
		waited.isOver = true;
	});
	return { clock, leaving, body, waited, reader: body.response.body?.getReader() };
}

test("they wait until the client has taken enough, and for nothing while there is room", async () => {
	const { clock, body, waited, reader } = start();
	for (let n = 0; n < 3; n += 1) await reader?.read();
	await clock.settle();
	expect([waited.isOver, body.room]).toEqual([false, expect.any(Promise)]);
	await reader?.read();
	await clock.settle();
	expect([waited.isOver, body.room]).toEqual([true, undefined]);
	await clock.advance(10 * MAX_STALL_MS);
	expect(body.isOver).toBe(false);
});

test("[P6] a client that takes nothing meanwhile is let go, one that takes little is not", async () => {
	const { clock, body, waited, reader } = start();
	await clock.advance(MAX_STALL_MS - 1);
	await reader?.read();
	await reader?.read();
	await clock.advance(MAX_STALL_MS);
	expect([body.isOver, waited.isOver]).toEqual([false, false]);
	await clock.advance(MAX_STALL_MS);
	expect([body.isOver, waited.isOver, body.room]).toEqual([true, true, undefined]);
	await expect(reader?.read()).rejects.toThrow("took nothing");
});

test("[P9] they wait for nobody who has left", async () => {
	const { clock, leaving, body, waited } = start();
	leaving.abort();
	await clock.settle();
	expect([body.isOver, waited.isOver, body.room, clock.waiting]).toEqual([true, true, undefined, 0]);
});
