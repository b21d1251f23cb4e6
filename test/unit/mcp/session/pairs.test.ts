import { afterEach, expect, test } from "vitest";
import { type Era, methodIn, type SessionFleet, startSessions, textOf } from "./fleet.ts";

let fleet: SessionFleet | undefined;
afterEach(async () => {
	await fleet?.stop();
	fleet = undefined;
});

const PAIRS = (["v1", "v2"] as const).flatMap((server) => (["v1", "v2"] as const).map((client) => [server, client]));

/** Initialize on 0, the GET stream on 1, calls on 0, answers of the user on 2. */
function route(init: RequestInit): number {
	if (init.method === "GET") return 1;
	if (init.method === "DELETE") return 2;
	const method = methodIn(init);
	return method === undefined ? 2 : 0;
}

for (const [server, client] of PAIRS as [Era, Era][]) {
	test(`[P3] ${server} servers, ${client} clients: initialize on A, GET on B, call on A, the answer through C`, async () => {
		fleet = await startSessions(3, { server });
		const one = await fleet.connect(client, route);
		expect(await textOf(one.client.callTool({ name: "ask", arguments: {} }))).toBe('0: {"name":"ann"}');
		expect(one.asked).toHaveLength(1);
		expect(one.transport.sessionId).toMatch(/^[0-9a-f-]{36}$/);
		expect(fleet.errors).toEqual([]);
	});

	test(`[P3] ${server} servers, ${client} clients: every request goes to the next process, the user's answer too`, async () => {
		fleet = await startSessions(3, { server });
		const one = await fleet.connect(client);
		const places = new Set<string>();
		for (let n = 0; n < 6; n += 1) places.add(await textOf(one.client.callTool({ name: "where", arguments: {} })));
		expect([...places].sort()).toEqual(["0", "1", "2"]);
		for (let n = 0; n < 3; n += 1) {
			expect(await textOf(one.client.callTool({ name: "ask", arguments: {} }))).toContain('{"name":"ann"}');
		}
		expect(fleet.errors).toEqual([]);
	});
}
