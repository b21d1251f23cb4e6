/** The registry's table on the emulator, made as its documentation says. */
import { randomUUID } from "node:crypto";
import {
	createDynamoStore,
	type DynamoStoreOptions,
	REGISTRY_TABLE,
} from "../../lambda/layer/src/sessions/dynamo-store.ts";
import type { Store } from "../../lambda/layer/src/sessions/store.ts";
import { aws, createAwsClients } from "../../lambda/layer/src/transports/aws/sdk.ts";
import { startEmulator } from "../support/emulator.ts";

export interface RegistryTable {
	readonly name: string;
	createStore(more?: Partial<DynamoStoreOptions>): Store;
	/** Makes another table; its keys are given. */
	make(name: string, keys: readonly [string, string]): Promise<void>;
	stop(): Promise<void>;
}

export async function startRegistryTable(): Promise<RegistryTable> {
	const { endpoint, env, stop } = await startEmulator();
	const credentials = {
		accessKeyId: env.AWS_ACCESS_KEY_ID as string,
		secretAccessKey: env.AWS_SECRET_ACCESS_KEY as string,
	};
	const region = "us-east-1";
	const name = `registry-${randomUUID().slice(0, 8)}`;
	const make: RegistryTable["make"] = async (TableName, [hash, range]) => {
		const clients = createAwsClients({ region, endpoint, credentials });
		await clients.dynamo().send(
			new aws.dynamo.CreateTableCommand({
				TableName,
				BillingMode: "PAY_PER_REQUEST",
				AttributeDefinitions: [hash, range].map((AttributeName) => ({ AttributeName, AttributeType: "S" })),
				KeySchema: [
					{ AttributeName: hash, KeyType: "HASH" },
					{ AttributeName: range, KeyType: "RANGE" },
				],
			}),
		);
		clients.close();
	};
	await make(name, [REGISTRY_TABLE.partitionKey, REGISTRY_TABLE.sortKey]);
	return {
		name,
		make,
		createStore: (more = {}) =>
			createDynamoStore({ table: name, region, endpoint, credentials, watchMs: 200, ...more } as DynamoStoreOptions),
		stop,
	};
}
