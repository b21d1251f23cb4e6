/** What a request may not outlast: the authorisation of who sent it, and the time that reading it may take. */
import { afterEach, expect, test } from "vitest";
import { type Clock, systemClock } from "../../../../lambda/layer/src/core/clock.ts";
import { createFakeClock } from "../../../../lambda/layer/src/testing/fake-clock.ts";
import { type FleetOptions, hello, post, type SessionFleet, startSessions, tool, URL_OF_FLEET } from "./fleet.ts";
import { follow, get, open } from "./raw.ts";

let fleet: SessionFleet;
afterEach(() => fleet?.stop());
const start = async (size: number, options?: FleetOptions) => {
	fleet = await startSessions(size, options);
	return fleet;
};
const until = (expiresAt: number) => ({ authInfo: { expiresAt } });

/** A call that is never answered, by who may ask for `ms`. */
async function asking(clock: Pick<Clock, "now">, ms: number, protocol?: string) {
	fleet.tools.run = () => new Promise(() => {});
	const session = await open(fleet, 0, protocol);
	return { session, response: fleet.call(0, post(tool("run", 7), session), within(clock, ms)) };
}

const within = (clock: Pick<Clock, "now">, ms: number) => until((clock.now() + ms) / 1_000);

test.each(["auto", "sse", "json"] as const)("a POST's %s answer ends with the authorisation", async (responseMode) => {
	const clock = createFakeClock();
	await start(1, { sessionOptions: { responseMode }, clock });
	const { response } = await asking(clock, 800);
	const said = { text: "" };
	const over = response.then(async (answer) => {
		said.text = await answer.text();
	});
	await clock.advance(799);
	expect(said.text).toBe("");
	await clock.advance(1);
	await over;
	const { text } = said;
	expect(text).toContain("the authorisation has expired");
	expect(JSON.parse(text.slice(text.indexOf("{")))).toMatchObject({ id: 7, error: { code: -32_000 } });
});

test("one that can be resumed says no error: its client comes back, and what it resumes ends likewise", async () => {
	const clock = createFakeClock();
	await start(2, { sessionOptions: { resumePosts: true }, clock });
	const { session, response } = await asking(clock, 800);
	await clock.advance(800);
	const first = follow(await response);
	await first.ended;
	expect(first.messages).toEqual([]);
	const resumed = follow(await fleet.call(1, get(session, first.frames[0]?.id), within(clock, 800)));
	expect(resumed.status).toBe(200);
	await clock.advance(800);
	await resumed.ended;
	expect(resumed.messages).toEqual([]);
});

test("a client that cannot resume is told, though others could", async () => {
	const clock = createFakeClock();
	await start(1, { sessionOptions: { resumePosts: true }, clock });
	const { response } = await asking(clock, 800, "2025-06-18");
	await clock.advance(800);
	expect(await (await response).text()).toContain("the authorisation has expired");
});

test("an authorisation that ends at no time that can be read has ended", async () => {
	await start(1);
	expect((await fleet.call(0, hello(), until(Number.NaN))).status).toBe(401);
	expect((await fleet.call(0, hello(), until(Number.POSITIVE_INFINITY))).status).toBe(200);
});

test("a body that does not come is answered 408, with the limit", async () => {
	await start(1, { sessionOptions: { bodyTimeoutMs: 50 } });
	const body = new ReadableStream<Uint8Array>({ start: (controller) => controller.enqueue(Buffer.from("{")) });
	const init = { method: "POST", headers: hello().headers, body, duplex: "half" } as RequestInit;
	const answer = await fleet.handlers[0]?.fetch(new Request(URL_OF_FLEET, init));
	expect(answer?.status).toBe(408);
	expect(await answer?.json()).toMatchObject({ jsonrpc: "2.0", error: { message: expect.stringContaining("50 ms") } });
});

test.each(["principal", "tenant"] as const)(
	"a %s that is not found in time is answered 503, with the limit",
	async (name) => {
		await start(1, { identityTimeoutMs: 50, [name]: () => new Promise(() => {}) });
		const answer = await fleet.call(0, hello(), within(systemClock, 60_000));
		expect(answer.status).toBe(503);
		expect(answer.headers.get("retry-after")).toBe("1");
		expect(await answer.text()).toContain("50 ms");
		// A GET has two refusals and then no other try.
		const listen = get("a", "1x", { "mcp-protocol-version": "2025-11-25" });
		const sent = await fleet.call(0, listen, within(systemClock, 60_000));
		const proxied = get("a", "1x", { "mcp-fanout-refuse": "status" });
		expect((await fleet.call(0, proxied, within(systemClock, 60_000))).status).toBe(503);
		expect([sent.status, await sent.text()]).toEqual([200, "retry: 1000\n\nevent: cursor\nid: 1x\ndata: \n\n"]);
		expect(fleet.errors.map(({ code }) => code)).toEqual(Array.from({ length: 3 }, () => "DeadlineExceeded"));
		await expect(start(1, { identityTimeoutMs: 0 })).rejects.toThrow("identityTimeoutMs");
	},
);
