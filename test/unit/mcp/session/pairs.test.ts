import { afterEach, expect, test } from "vitest";
import { type Era, methodIn, type SessionFleet, startSessions, textOf } from "./fleet.ts";
import { follow, get, note } from "./raw.ts";

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

/** A client whose GETs go where the test says; it gives up after two refusals. */
async function listener(era: Era, fleet: SessionFleet, route: () => number) {
	const gets = { count: 0 };
	const heard: unknown[] = [];
	const { client, transport } = await fleet.connect(era, ({ method }) => {
		if (method !== "GET") return 0;
		gets.count += 1;
		return route();
	});
	client.fallbackNotificationHandler = async ({ params }: { params?: unknown }) => {
		heard.push((params as { data?: unknown }).data);
	};
	await expect.poll(() => gets.count).toBe(1);
	const session = transport.sessionId ?? "";
	const send = (place: number, n: number) => fleet.fanouts[place]?.to({ session }).send(note(n));
	await send(1, 1);
	await expect.poll(() => heard).toEqual([1]);
	return { gets, heard, session, send };
}

/** Two processes, one of which does not reach the registry while `isAway`. */
async function startWithout(place: number) {
	const registry = { isAway: false };
	const started = await startSessions(2, {
		sessionOptions: { retryMs: 20 },
		store: (store, at) => ({
			...store,
			read: (...args) => (registry.isAway && at === place ? Promise.reject(new Error("away")) : store.read(...args)),
		}),
	});
	fleet = started;
	return { started, registry };
}

for (const era of ["v1", "v2"] as const) {
	for (const also of ["", ", its registry away"]) {
		test(`[P3] [P7] ${era} clients: who comes back to a process that drains${also} is sent on, however often, and hears everything once`, async () => {
			const { started, registry } = await startWithout(0);
			let place = 0;
			const { gets, heard, send } = await listener(era, started, () => place);
			registry.isAway = also !== "";
			// Without its handler's drain only the hub refuses.
			await (registry.isAway ? started.fanouts : started.handlers)[0]?.drain({ graceMs: 50 });
			await send(1, 2);
			await expect.poll(() => gets.count, { timeout: 20_000 }).toBeGreaterThan(4);
			place = 1;
			await send(1, 3);
			await expect.poll(() => heard).toEqual([1, 2, 3]);
		});
	}

	test(`[P3] [P7] ${era} clients: who comes back while the registry is away is sent on, however often, and misses nothing`, async () => {
		const { started, registry } = await startWithout(1);
		const { gets, heard, session, send } = await listener(era, started, () => 1);
		const newer = follow(await started.call(0, get(session)));
		registry.isAway = true;
		await send(0, 2);
		await expect.poll(() => gets.count, { timeout: 20_000 }).toBeGreaterThan(4);
		registry.isAway = false;
		await newer.ended;
		await send(0, 3);
		await expect.poll(() => heard).toEqual([1, 2, 3]);
	});
}
