import { createMcpHandler } from "@modelcontextprotocol/server";
import { afterEach, expect, test } from "vitest";
import { seamOf } from "../../../lambda/layer/src/mcp/bus.ts";
import { createFleetHandler, createSessionHandler } from "../../../lambda/layer/src/mcp/index.ts";
import { createFakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";
import { settle } from "../../support/settle.ts";
import { auth, buildServer, type Fleet, PRINCIPAL, rawListen, startFleet, TENANT } from "./fleet.ts";

const fleets: Fleet[] = [];
afterEach(async () => {
	await Promise.all(fleets.splice(0).map((fleet) => fleet.stop()));
});
async function fleetOf(...args: Parameters<typeof startFleet>): Promise<Fleet> {
	const fleet = await startFleet(...args);
	fleets.push(fleet);
	return fleet;
}

test("the SDK subscribes to its bus inside fetch, once, in the caller's async context, after the acknowledgement", async () => {
	const { fanouts } = await fleetOf(1);
	const [fanout] = fanouts as [(typeof fanouts)[number]];
	const bus = fanout.bus();
	const seen: (string | undefined)[] = [];
	const spied = createMcpHandler(() => buildServer(), {
		bus: {
			publish: bus.publish,
			subscribe() {
				seen.push(seamOf(bus)?.deps.scopes.getStore()?.tenant);
				return () => {};
			},
		},
	});
	const fleet = createFleetHandler({ fetch: spied.fetch }, { fanout, bus, ...TENANT });
	await rawListen(fleet as never, { toolsListChanged: true }, auth({ org: "acme" }));
	expect(seen).toEqual(["acme"]);
	await spied.close();
});

test("[P2] a change published on one process reaches listens on every process, and only those that asked", async () => {
	const fleet = await fleetOf(3);
	const listens = await Promise.all(fleet.handlers.map((handler, i) => fleet.listen(handler, [`docs://${i}`])));
	for (let n = 0; n < 3; n += 1) {
		const params = { uri: "docs://1", _meta: { n } };
		await fleet.fanouts[0]?.to({ all: true }).send({ method: "notifications/resources/updated", params });
	}
	await fleet.fanouts[2]?.notify.toolsChanged();
	await fleet.fanouts[2]?.notify.resourcesChanged();
	await settle();
	const tools = { method: "notifications/tools/list_changed", uri: undefined, n: undefined };
	const updated = (n: number) => ({ method: "notifications/resources/updated", uri: "docs://1", n });
	expect(listens.map(({ heard }) => heard)).toEqual([[tools], [updated(0), updated(1), updated(2), tools], [tools]]);
	expect(fleet.errors).toEqual([]);
});

test("[P5] a bus that a fleet handler took refuses who subscribes without a request's scope; others are bare", async () => {
	const { fanouts, handlers } = await fleetOf(1);
	const bus = handlers[0]?.bus;
	expect(() => bus?.subscribe(() => {})).toThrow(expect.objectContaining({ code: "ScopeRequired" }));
	fanouts[0]?.bus().subscribe(() => {})();
});

test("[P5] a handler on another bus is refused", async () => {
	const { fanouts } = await fleetOf(2);
	const [a, b] = fanouts as [(typeof fanouts)[number], (typeof fanouts)[number]];
	const code = { code: "ConfigInvalid" };
	expect(() =>
		createFleetHandler(
			createMcpHandler(() => buildServer()),
			{ fanout: a },
		),
	).toThrow(expect.objectContaining(code));
	const foreign = createMcpHandler(() => buildServer(), { bus: b.bus() });
	expect(() => createFleetHandler(foreign, { fanout: a })).toThrow(expect.objectContaining(code));
	expect(() => createFleetHandler({ fetch: async () => new Response() }, { fanout: a })).toThrow(
		expect.objectContaining(code),
	);
});

test("an option that is misspelt is refused: one that is passed over would leave sessions or addresses unguarded", async () => {
	const { fanouts } = await fleetOf(1);
	const fanout = fanouts[0] as (typeof fanouts)[number];
	const mcp = createMcpHandler(() => buildServer(), { bus: fanout.bus() });
	const fleet = (more: object) => () => createFleetHandler(mcp, { fanout, ...more });
	const alone = (more: object) => () => createSessionHandler(() => buildServer(), { fanout, ...more });
	expect(fleet({ session: buildServer })).toThrow("session is no option of a fleet handler; there are fanout, bus");
	expect(fleet({ sessions: buildServer, sessionOptions: { allowedOrigin: [] } })).toThrow("allowedOrigin is no option");
	expect(alone({ idleMS: 1_000 })).toThrow("idleMS is no option of sessions; there are allowedHosts");
	expect(fleet({ sessions: true })).toThrow("the function that builds the server of one");
	await alone({ idleMs: 1_000, principal: () => "ann" })().close();
});

test("[P5] principals and tenants hear their own, and anonymous listens the default tenant's all", async () => {
	const fleet = await fleetOf(2, { ...PRINCIPAL, ...TENANT });
	const [a, b] = fleet.handlers as [Fleet["handlers"][number], Fleet["handlers"][number]];
	const ann = await fleet.listen(a, [], auth({ sub: "ann", org: "acme" }));
	const bob = await fleet.listen(b, [], auth({ sub: "bob", org: "acme" }));
	const eve = await fleet.listen(b, [], auth({ sub: "ann", org: "evil" }));
	const anonymous = await fleet.listen(b, []);
	const heard = () => [ann, bob, eve, anonymous].map((listen) => listen.heard.splice(0).length);
	const [fanout] = fleet.fanouts as [Fleet["fanouts"][number]];
	await fanout.to({ principal: "ann", tenant: "acme" }).notify.toolsChanged();
	await settle();
	expect(heard()).toEqual([1, 0, 0, 0]);
	await fanout.to({ tenant: "acme" }).notify.toolsChanged();
	await settle();
	expect(heard()).toEqual([1, 1, 0, 0]);
	await fanout.notify.toolsChanged();
	await fanout.to({ principal: "ann" }).notify.toolsChanged();
	await settle();
	expect(heard()).toEqual([0, 0, 0, 1]);
});

test("[P5] in a request, notify is for the request's tenant", async () => {
	const fleet = await fleetOf(1, { ...PRINCIPAL, ...TENANT });
	const [handler] = fleet.handlers as [Fleet["handlers"][number]];
	const acme = await fleet.listen(handler, [], auth({ sub: "ann", org: "acme" }));
	const anonymous = await fleet.listen(handler, []);
	fleet.onCall.current = async () => {
		await fleet.fanouts[0]?.notify.toolsChanged();
		handler.notify.resourceUpdated("docs://a");
		await fleet.fanouts[0]?.flush();
	};
	const caller = await fleet.connect(handler, auth({ sub: "bob", org: "acme" }));
	await caller.callTool({ name: "publish", arguments: {} });
	await settle();
	expect(acme.heard.map(({ method }) => method)).toEqual(["notifications/tools/list_changed"]);
	expect(anonymous.heard).toEqual([]);
});

test("[P5] in a request, whoever is addressed without a tenant is of the request's", async () => {
	const fleet = await fleetOf(1, { ...PRINCIPAL, ...TENANT });
	const [handler] = fleet.handlers as [Fleet["handlers"][number]];
	const [fanout] = fleet.fanouts as [(typeof fleet.fanouts)[number]];
	const targets: Parameters<typeof fanout.to>[0][] = [
		{ all: true },
		{ principal: "ann" },
		{ session: "s", tenant: undefined },
		{ topic: "t", tenant: "corp" },
		{ tenant: "default" },
		{ everyTenant: true },
	];
	const channels = () =>
		Promise.all(targets.map(async (target) => (await fanout.to(target).notify.toolsChanged()).channel));
	const called = Promise.withResolvers<string[]>();
	fleet.onCall.current = async () => called.resolve(await channels());
	const caller = await fleet.connect(handler, auth({ sub: "bob", org: "acme" }));
	await caller.callTool({ name: "publish", arguments: {} });
	const own = (tenant: string) => [
		`default/${tenant}/all:`,
		`default/${tenant}/principal:ann`,
		`default/${tenant}/session:s`,
	];
	const named = ["default/corp/topic:t", "default/default/all:", "default/*/all:"];
	expect(await called.promise).toEqual([...own("acme"), ...named]);
	expect(await channels()).toEqual([...own("default"), ...named]);
});

test.each([
	["no principal", { org: "acme" }],
	["an empty principal", { sub: "", org: "acme" }],
	["an empty tenant", { sub: "ann", org: "" }],
	["a principal that is no name", { sub: 7, org: "acme" }],
	["a principal that no channel can have", { sub: "\ud800", org: "acme" }],
])("[P5] an authenticated request with %s is refused with 403", async (_, extra) => {
	const { handlers } = await fleetOf(1, { ...PRINCIPAL, ...TENANT });
	const response = await rawListen(handlers[0] as never, { toolsListChanged: true }, auth(extra));
	expect(response.status).toBe(403);
	expect(handlers[0]?.listens).toBe(0);
});

test("who has to look up a principal and cannot, answers 500 and opens nothing", async () => {
	const { handlers, errors } = await fleetOf(1, {
		principal: () => Promise.reject(new Error("directory down")),
	});
	const response = await rawListen(handlers[0] as never, { toolsListChanged: true }, auth({ sub: "ann" }));
	expect(response.status).toBe(500);
	expect(await response.text()).not.toContain("directory");
	expect(errors).toHaveLength(1);
});

test("a listen ends, without a result, when its authorisation does; an expired one is refused with 401", async () => {
	const clock = createFakeClock();
	const fleet = await fleetOf(1, PRINCIPAL, { clock });
	const [handler] = fleet.handlers as [Fleet["handlers"][number]];
	const soon = clock.now() / 1000 + 1;
	const response = await rawListen(handler, { toolsListChanged: true }, auth({ sub: "ann" }, soon));
	await clock.advance(999);
	expect(handler.listens).toBe(1);
	await clock.advance(1);
	expect(handler.listens).toBe(0);
	expect(await response.text()).not.toContain('"result"');
	const late = await rawListen(handler, { toolsListChanged: true }, auth({ sub: "ann" }, soon));
	expect(late.status).toBe(401);
});

test("drain drops listens without a result, refuses new ones, and leaves other requests alone", async () => {
	const fleet = await fleetOf(1);
	const [handler] = fleet.handlers as [Fleet["handlers"][number]];
	const listens = await Promise.all([1, 2, 3].map(() => fleet.listen(handler, ["docs://a"])));
	const closed = Promise.all(listens.map(({ subscription }) => subscription.closed));
	await handler.drain({ graceMs: 50 });
	expect(handler.listens).toBe(0);
	expect(fleet.fanouts[0]?.health().ready).toBe(false);
	expect(await closed).toEqual(["remote", "remote", "remote"]);
	expect((await rawListen(handler, { toolsListChanged: true })).status).toBe(503);
	const { tools } = await (await fleet.connect(handler)).listTools();
	expect(tools).toHaveLength(1);
});

test("[P9] clients that go leave nothing behind", async () => {
	const fleet = await fleetOf(1, PRINCIPAL);
	const [handler] = fleet.handlers as [Fleet["handlers"][number]];
	const { subscription } = await fleet.listen(handler, ["docs://a"], auth({ sub: "ann" }));
	const response = await rawListen(handler, { toolsListChanged: true }, auth({ sub: "ann" }));
	expect(handler.listens).toBe(2);
	await subscription.close();
	await response.body?.cancel();
	await expect.poll(() => handler.listens).toBe(0);
	await fleet.fanouts[0]?.to({ principal: "ann" }).notify.toolsChanged();
});
