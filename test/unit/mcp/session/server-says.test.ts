/** What a session's server says by itself: to whom it goes, and what becomes of it when nobody takes it. */
import { afterEach, expect, test } from "vitest";
import { settle } from "../../../support/settle.ts";
import { buildV2, type FleetOptions, post, type SessionFleet, startSessions } from "./fleet.ts";
import { callTool, open, remove } from "./raw.ts";

let fleet: SessionFleet;
afterEach(() => fleet?.stop());
const start = async (size: number, options?: FleetOptions) => {
	fleet = await startSessions(size, options);
	return fleet;
};

test("[P5] what a server announces is its tenant's, also when another process made it do so", async () => {
	const announced: string[] = [];
	await start(2, {
		tenant: () => "acme",
		build: (place) => {
			const server = buildV2(place, fleet.tools);
			const announce = (why: string) => async () => {
				const receipt = await fleet.fanouts[place]?.notify.toolsChanged();
				announced.push(`${place} ${why} ${receipt?.channel}`);
			};
			server.server.setNotificationHandler("notifications/roots/list_changed", announce("roots"));
			server.server.onclose = announce("closed");
			return server;
		},
	});
	const acme = { authInfo: { extra: {} } };
	const session = await open(fleet, 0, undefined, acme);
	await callTool(fleet, 1, session, "where", acme);
	await fleet.call(0, post({ jsonrpc: "2.0", method: "notifications/roots/list_changed" }, session), acme);
	while (announced.length < 2) await settle(5);
	await fleet.call(0, remove(session), acme);
	while (announced.length < 4) await settle(5);
	const channel = "default/acme/all:";
	const all = ["0 closed", "0 roots", "1 closed", "1 roots"].map((which) => `${which} ${channel}`);
	expect(announced.toSorted()).toEqual(all);
});

test.each(["v1", "v2"] as const)(
	"a change that a %s server cannot announce is an error that is told, and no end of the process",
	async (server) => {
		await start(1, { server });
		const session = await open(fleet, 0);
		await fleet.fanouts[0]?.close();
		// The runner fails on a rejection that nobody hears.
		expect((await callTool(fleet, 0, session, "announce")).status).toBe(200);
		while (fleet.errors.length === 0) await settle(5);
		expect(fleet.errors[0]).toMatchObject({ code: "Closed" });
	},
);
