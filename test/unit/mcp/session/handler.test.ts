import { afterEach, expect, test } from "vitest";
import { createFanout } from "../../../../lambda/layer/src/fanout.ts";
import { createSessionHandler } from "../../../../lambda/layer/src/mcp/index.ts";
import { buildV2, hello, post, tool, URL_OF_FLEET } from "./fleet.ts";
import { follow, get } from "./raw.ts";

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
	for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const tools = { run: async (place: number) => place };

async function start() {
	const fanout = await createFanout({ local: {} });
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
	const { handler } = await start();
	const call = (init: RequestInit, extra: ReturnType<typeof ann>) =>
		handler.fetch(new Request(URL_OF_FLEET, init), extra);
	const session = (await call(hello(), ann())).headers.get("mcp-session-id") ?? "";
	const expiresAt = Date.now() / 1000 + 0.3;
	const stream = follow(await call(get(session), ann(expiresAt)));
	expect(stream.status).toBe(200);
	await stream.ended;
	expect(Date.now() / 1000).toBeGreaterThanOrEqual(expiresAt - 0.01);
	expect((await call(get(session), ann(expiresAt))).status).toBe(401);
});
