import { afterEach, expect, test } from "vitest";
import { createChannel, everyTenantChannel, parseChannel } from "../../../lambda/layer/src/core/channel.ts";
import type { Fanout } from "../../../lambda/layer/src/fanout.ts";
import { settle } from "../../support/settle.ts";
import { auth, type Fleet, type Handler, startFleet, TENANT } from "./fleet.ts";

const fleets: Fleet[] = [];
afterEach(async () => {
	await Promise.all(fleets.splice(0).map((fleet) => fleet.stop()));
});

test("[P5] everyTenant reaches the listens of every tenant on every process, once; a tenant's own stays its own", async () => {
	const fleet = await startFleet(2, TENANT);
	fleets.push(fleet);
	const [here, there] = fleet.handlers as [Handler, Handler];
	const [fanout] = fleet.fanouts as [Fanout];
	const listens = [
		await fleet.listen(here, ["docs://a"], auth({ org: "red" })),
		await fleet.listen(there, ["docs://a"], auth({ org: "blue" })),
		await fleet.listen(there, ["docs://a"]),
	];
	const bare: unknown[] = [];
	fanout.bus().subscribe((event) => bare.push(event.kind));
	await settle();
	await fanout.to({ everyTenant: true }).notify.resourceUpdated("docs://a");
	await fanout.to({ tenant: "blue" }).notify.resourceUpdated("docs://a");
	await settle();
	expect(listens.map(({ heard }) => heard.length)).toEqual([1, 2, 1]);
	expect(bare).toEqual(["resource_updated"]);
});

test("[P3] a listen that comes later is told of what changed for every tenant, and one whose log was lost, too", async () => {
	const fleet = await startFleet(1, TENANT);
	fleets.push(fleet);
	const [fanout] = fleet.fanouts as [Fanout];
	await fanout.to({ everyTenant: true }).notify.resourceUpdated("docs://a");
	const late = await fleet.add();
	const { heard } = await fleet.listen(late, ["docs://a", "docs://b"], auth({ org: "red" }));
	await settle();
	expect(heard.map(({ uri }) => uri)).toEqual(["docs://a"]);
	const every = everyTenantChannel(fanout.namespace);
	fleet.broker.reset(every);
	fleet.broker.nudge(every);
	await expect.poll(() => heard.some(({ uri }) => uri === "docs://b"), { timeout: 5_000 }).toBe(true);
});

test("no tenant can be called what stands for all of them, and everyTenant goes with nothing else", async () => {
	const fleet = await startFleet(1, TENANT);
	fleets.push(fleet);
	const [fanout] = fleet.fanouts as [Fanout];
	const [handler] = fleet.handlers as [Handler];
	expect(() => createChannel("all", "", { tenant: "*" })).toThrow("no tenant may be called *");
	expect(() => fanout.to({ tenant: "*" })).toThrow("no tenant may be called *");
	expect(() => parseChannel("default/*/session:x")).toThrow("a channel key is");
	expect(parseChannel(everyTenantChannel("prod").key)).toEqual(everyTenantChannel("prod"));
	for (const target of [
		{ everyTenant: true, tenant: "red" },
		{ everyTenant: true, all: true },
		{ everyTenant: true, session: "s" },
		{ everyTenant: false },
		{ everyTenant: undefined },
	]) {
		expect(() => fanout.to(target as never)).toThrow("a target names one of");
	}
	const request = new Request("http://localhost/mcp", { method: "POST" });
	expect((await handler.fetch(request, auth({ org: "*" }))).status).toBe(403);
});
