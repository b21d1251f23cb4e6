/** The registry's contract on its four backends, on real servers: one promise, four ways to compare and set. */

import { afterAll, beforeAll, describe, test } from "vitest";
import { createMemoryStore, MemoryTable } from "../../lambda/layer/src/sessions/memory-store.ts";
import { createNatsStore } from "../../lambda/layer/src/sessions/nats-store.ts";
import { createRedisStore } from "../../lambda/layer/src/sessions/redis-store.ts";
import type { Store } from "../../lambda/layer/src/sessions/store.ts";
import { registryCases } from "../../lambda/layer/src/testing/registry/index.ts";
import { startNats, startValkey } from "../support/broker.ts";
import { startRegistryTable } from "./registry-table.ts";

interface Backend {
	createStore(): Store;
	stop(): Promise<void>;
}

const run = process.hrtime.bigint().toString(36);
let count = 0;

function runRegistryContract(name: string, open: () => Promise<Backend>): void {
	describe(name, () => {
		let backend: Backend | undefined;
		beforeAll(async () => {
			backend = await open();
		});
		afterAll(async () => {
			await backend?.stop();
		});
		const harness = {
			createStore: async () => {
				if (backend === undefined) throw new Error(`${name} did not start`);
				return backend.createStore();
			},
			namespace: () => `registry-${run}-${++count}`,
			limits: { waitMs: 15_000 },
		};
		for (const { title, run: runCase } of registryCases) test(title, () => runCase(harness));
	});
}

runRegistryContract("memory", async () => {
	const table = new MemoryTable();
	return { createStore: () => createMemoryStore({ table }), stop: async () => {} };
});

runRegistryContract("nats", async () => {
	const { url, stop } = await startNats();
	return { createStore: () => createNatsStore({ connect: { servers: url } }), stop };
});

runRegistryContract("redis", async () => {
	const { url, stop } = await startValkey();
	return { createStore: () => createRedisStore({ url }), stop };
});

runRegistryContract("dynamodb", startRegistryTable);
