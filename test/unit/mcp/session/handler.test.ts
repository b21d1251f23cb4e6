import { afterEach, expect, test } from "vitest";
import type { FanoutOptions } from "../../../../lambda/layer/src/config/options.ts";
import { createFanout } from "../../../../lambda/layer/src/fanout.ts";
import { createSessionHandler } from "../../../../lambda/layer/src/mcp/index.ts";
import { createFakeClock } from "../../../../lambda/layer/src/testing/fake-clock.ts";
import { buildV2, hello, post, tool, URL_OF_FLEET } from "./fleet.ts";
import { follow, get } from "./raw.ts";

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
	for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const tools = { run: async (place: number) => place };

async function start(options: FanoutOptions = {}) {
	const fanout = await createFanout({ local: {}, ...options });
	const handler = createSessionHandler(({ session }) => buildV2(0, tools, session), {
		fanout,
		principal: ({ authInfo }) => authInfo.extra?.sub as string | undefined,
	});
	cleanups.push(() => fanout.close());
	cleanups.push(() => handler.close());
	return { fanout, handler };
}

const ann = (expiresAt?: number) => ({ authInfo: { extra: { sub: "ann" }, ...(expiresAt && { expiresAt }) } });

test("alone, and with nothing but this process: a session is opened, called, heard and drained", async () => {
	const { fanout, handler } = await start();
	const call = (init: RequestInit, extra = ann()) => handler.fetch(new Request(URL_OF_FLEET, init), extra);
	const opened = await call(hello());
	const session = opened.headers.get("mcp-session-id") ?? "";
	expect(await (await call(post(tool("where"), session))).text()).toContain('"0"');
	const stream = follow(await call(get(session)));
	await fanout.to({ principal: "ann" }).notify.toolsChanged();
	await fanout.to({ session }).send({ method: "notifications/elicitation/complete", params: { elicitationId: "e" } });
	await expect
		.poll(() => stream.messages.map(({ method }) => method).toSorted())
		.toEqual(["notifications/elicitation/complete", "notifications/tools/list_changed"]);
	expect((await handler.fetch(new Request(URL_OF_FLEET, hello()), { authInfo: {} })).status).toBe(403);
	expect(handler.sessions).toBe(1);
	await handler.drain({ graceMs: 500 });
	await stream.ended;
	expect(handler.sessions).toBe(0);
	expect((await call(hello())).status).toBe(503);
});

test("a GET stream ends with the authorisation that opened it, and one that has expired opens nothing", async () => {
	const clock = createFakeClock();
	const { handler } = await start({ clock });
	const call = (init: RequestInit, extra: ReturnType<typeof ann>) =>
		handler.fetch(new Request(URL_OF_FLEET, init), extra);
	const session = (await call(hello(), ann())).headers.get("mcp-session-id") ?? "";
	const expiresAt = clock.now() / 1000 + 0.3;
	const stream = follow(await call(get(session), ann(expiresAt)));
	expect(stream.status).toBe(200);
	await clock.advance(299);
	expect(stream.isEnded).toBe(false);
	await clock.advance(1);
	await stream.ended;
	expect((await call(get(session), ann(expiresAt))).status).toBe(401);
});
