/** What DynamoDB does to the registry beside the contract: items that are over, other tables, a control plane that fails. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createChannel } from "../../lambda/layer/src/core/channel.ts";
import { systemClock } from "../../lambda/layer/src/core/clock.ts";
import { createIds } from "../../lambda/layer/src/core/ids.ts";
import { createDynamoStore } from "../../lambda/layer/src/sessions/dynamo-store.ts";
import { createRegistry } from "../../lambda/layer/src/sessions/registry.ts";
import type { Store } from "../../lambda/layer/src/sessions/store.ts";
import { type RegistryTable, startRegistryTable } from "./registry-table.ts";

const namespace = `dynamo-${randomUUID()}`;
const tenant = "default";
const session = (id: string) => createChannel("session", id, { namespace });
const ids = createIds(systemClock);

async function open(store: Store) {
	const registry = createRegistry({ store, namespace, clock: systemClock, ids });
	await registry.start();
	const { term } = await registry.enlist("a", 10_000);
	return { registry, term, [Symbol.asyncDispose]: () => registry.close() };
}

let table: RegistryTable;
beforeAll(async () => {
	table = await startRegistryTable();
});
afterAll(() => table.stop());

test("[P6] an item that is over, and not deleted yet, is gone for reading, counting and listing, and may be claimed", async () => {
	await using a = await open(table.createStore({ retentionMs: 60_000 }));
	for (const id of ["1", "2", "3"]) await a.registry.claim(session(id), a.term, { state: id });
	const later = { ...systemClock, now: () => systemClock.now() + 61_000 };
	await using b = await open(table.createStore({ clock: later }));
	expect(await b.registry.get(session("1"))).toBeUndefined();
	expect(await b.registry.count(tenant)).toBe(0);
	expect(await b.registry.list(tenant, { limit: 1 })).toEqual({ sessions: [], next: undefined });
	expect(await b.registry.claim(session("1"), b.term)).toMatchObject({ ok: true, created: true });
	expect(await b.registry.count(tenant)).toBe(1);
});

test("[P7] starts, owns and reads while only DynamoDB's control plane fails", async () => {
	const clients = table.clients();
	const client = clients.dynamo();
	client.middlewareStack.add(
		(next, { commandName }) =>
			async (args) => {
				if (!/^(Describe|List|Update)T/.test(String(commandName))) return next(args);
				throw Object.assign(new Error("the control plane fails"), { name: "InternalServerError" });
			},
		{ step: "initialize" },
	);
	try {
		await using a = await open(createDynamoStore({ table: table.name, client }));
		expect(await a.registry.claim(session("control-plane"), a.term)).toMatchObject({ ok: true });
		expect(await a.registry.get(session("control-plane"))).toBeDefined();
	} finally {
		clients.close();
	}
});

test("[P8] knows its own write whose answer was lost, and which AWS's client then sent again", async () => {
	const clients = table.clients();
	const client = clients.dynamo();
	let lose = 0;
	client.middlewareStack.add(
		(next, context) => async (args) => {
			const answer = await next(args);
			if (!/^(Put|Delete)/.test(String(context.commandName)) || lose === 0) return answer;
			lose -= 1;
			throw Object.assign(new Error("the answer is lost"), { name: "TimeoutError" });
		},
		// Within each of its attempts.
		{ step: "finalizeRequest", priority: "low" },
	);
	try {
		await using a = await open(createDynamoStore({ table: table.name, client }));
		lose = 1;
		const claimed = await a.registry.claim(session("lost-answer"), a.term);
		expect(claimed).toMatchObject({ ok: true, created: true, record: { epoch: 1 } });
		if (!claimed.ok) throw new Error("it is not claimed");
		lose = 1;
		const read = { session: session("lost-answer"), version: claimed.record.version };
		expect(await a.registry.update(read, { state: "new" })).toMatchObject({ state: "new" });
		lose = 1;
		await a.registry.release(claimed.held);
		expect([lose, (await a.registry.get(session("lost-answer")))?.owner]).toEqual([0, undefined]);
		const again = await a.registry.claim(session("lost-answer"), a.term);
		if (!again.ok) throw new Error("it is not claimed again");
		lose = 1;
		await a.registry.remove(again.held);
		expect([lose, await a.registry.get(session("lost-answer"))]).toEqual([0, undefined]);
	} finally {
		clients.close();
	}
});

test("a table of other keys, or none, fails the start", async () => {
	const otherKeys = `other-keys-${randomUUID()}`;
	await table.make(otherKeys, ["session", "region"]);
	for (const [name, code] of [
		[otherKeys, "ConfigInvalid"],
		["no-table", "TransportUnavailable"],
	] as const) {
		const store = table.createStore({ table: name });
		const registry = createRegistry({ store, namespace, clock: systemClock, ids });
		await expect(registry.start()).rejects.toMatchObject({ code });
		await registry.close();
	}
});
