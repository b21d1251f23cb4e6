import { afterEach, expect, test } from "vitest";
import { LOG_LEVELS } from "../../../../lambda/layer/src/core/log-level.ts";
import { type FleetOptions, post, type SessionFleet, startSessions } from "./fleet.ts";
import { follow, get, open } from "./raw.ts";

let fleet: SessionFleet;
afterEach(() => fleet?.stop());
const start = async (size: number, options?: FleetOptions) => {
	fleet = await startSessions(size, options);
	return fleet;
};

const setLevel = (level: string) => ({ jsonrpc: "2.0", id: 4, method: "logging/setLevel", params: { level } });
const say = (level: string, data: unknown) => ({ method: "notifications/message", params: { level, data } });
type Said = { readonly params?: Record<string, unknown> };
const levels = (messages: readonly Said[]) => messages.map(({ params }) => params?.level);

test("what is sent from anywhere below the level that a client set does not reach it, on whichever process it hears", async () => {
	await start(3);
	const [strict, silent, other] = [await open(fleet, 0), await open(fleet, 0), await open(fleet, 1)];
	const [a, b, c] = await Promise.all(
		[strict, silent, other].map(async (session) => follow(await fleet.call(2, get(session)))),
	);
	for (const level of ["error", "warning"]) {
		// The GET stream's process knows before the client hears of its success.
		expect((await fleet.call(1, post(setLevel(level), strict))).status).toBe(200);
	}
	expect((await fleet.call(0, post(setLevel("emergency"), other))).status).toBe(200);
	const [from] = fleet.fanouts;
	for (const level of LOG_LEVELS) await from?.to({ session: strict }).send(say(level, "to one"));
	for (const level of [...LOG_LEVELS, "trace"]) await from?.to({ tenant: "default" }).send(say(level, "to all"));
	const shown = LOG_LEVELS.slice(LOG_LEVELS.indexOf("warning"));
	await expect.poll(() => levels(a?.messages ?? [])).toEqual([...shown, ...shown, "trace"]);
	await expect.poll(() => levels(b?.messages ?? [])).toEqual([...LOG_LEVELS, "trace"]);
	await expect.poll(() => levels(c?.messages ?? [])).toEqual(["emergency", "trace"]);
});

test("the level holds for what a stream that comes back is shown of the past, and no other level is taken", async () => {
	await start(2);
	const session = await open(fleet, 0);
	const first = follow(await fleet.call(0, get(session)));
	await expect.poll(() => first.frames.length).toBe(1);
	await first.cancel();
	await fleet.call(0, post(setLevel("error"), session));
	expect(await (await fleet.call(0, post(setLevel("loud"), session))).text()).toContain('"error"');
	const to = fleet.fanouts[1]?.to({ session });
	for (const level of ["info", "error", "debug", "critical"]) await to?.send(say(level, 0));
	const again = follow(await fleet.call(1, get(session, first.frames[0]?.id)));
	await expect.poll(() => levels(again.messages)).toEqual(["error", "critical"]);
});
