/** The registry's contract on its four backends, on real servers: one promise, four ways to compare and set. */

import { afterAll, beforeAll, describe, test } from "vitest";
import { createDynamoStore, REGISTRY_TABLE } from "../../lambda/layer/src/sessions/dynamo-store.ts";
import { createMemoryStore, MemoryTable } from "../../lambda/layer/src/sessions/memory-store.ts";
import { createNatsStore } from "../../lambda/layer/src/sessions/nats-store.ts";
import { createRedisStore } from "../../lambda/layer/src/sessions/redis-store.ts";
import type { Store } from "../../lambda/layer/src/sessions/store.ts";
import { registryCases } from "../../lambda/layer/src/testing/registry/index.ts";
import { aws, createAwsClients } from "../../lambda/layer/src/transports/aws/sdk.ts";
import { startNats, startValkey } from "../support/broker.ts";
import { startEmulator } from "../support/emulator.ts";

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

runRegistryContract("dynamodb", async () => {
	const { endpoint, env, stop } = await startEmulator();
	const credentials = {
		accessKeyId: env.AWS_ACCESS_KEY_ID as string,
		secretAccessKey: env.AWS_SECRET_ACCESS_KEY as string,
	};
	const region = "us-east-1";
	const clients = createAwsClients({ region, endpoint, credentials });
	const table = `registry-${run}`;
	const { partitionKey, sortKey } = REGISTRY_TABLE;
	await clients.dynamo().send(
		new aws.dynamo.CreateTableCommand({
			TableName: table,
			BillingMode: "PAY_PER_REQUEST",
			AttributeDefinitions: [partitionKey, sortKey].map((AttributeName) => ({ AttributeName, AttributeType: "S" })),
			KeySchema: [
				{ AttributeName: partitionKey, KeyType: "HASH" },
				{ AttributeName: sortKey, KeyType: "RANGE" },
			],
		}),
	);
	clients.close();
	return {
		createStore: () => createDynamoStore({ table, region, endpoint, credentials, watchMs: 200 }),
		stop,
	};
});
