/** The registry's table on the emulator, as the State stack deploys it. */
import { ENV } from "mcp-fanout/env-names";
import { createDynamoStore, type DynamoStoreOptions } from "../../lambda/layer/src/sessions/dynamo-store.ts";
import type { Store } from "../../lambda/layer/src/sessions/store.ts";
import { type AwsClients, aws, createAwsClients } from "../../lambda/layer/src/transports/aws/sdk.ts";
import { openCells } from "../support/cells.ts";

export interface RegistryTable {
	readonly name: string;
	createStore(more?: Partial<DynamoStoreOptions>): Store;
	/** Clients of the region, to be closed by who asked for them. */
	clients(): AwsClients;
	/** Makes another table; its keys are given. */
	make(name: string, keys: readonly [string, string]): Promise<void>;
	stop(): Promise<void>;
}

export async function startRegistryTable(): Promise<RegistryTable> {
	const { emulator, cells, close } = await openCells();
	const { endpoint, env } = emulator;
	const [cell] = cells;
	if (cell === undefined) throw new Error("no cell was deployed");
	const credentials = {
		accessKeyId: env.AWS_ACCESS_KEY_ID as string,
		secretAccessKey: env.AWS_SECRET_ACCESS_KEY as string,
	};
	const { region } = cell;
	const name = cell.environment[ENV.ownersTable];
	const clientsOf = () => createAwsClients({ region, endpoint, credentials });
	const make: RegistryTable["make"] = async (TableName, [hash, range]) => {
		const clients = clientsOf();
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
	return {
		name,
		clients: clientsOf,
		make,
		createStore: (more = {}) =>
			createDynamoStore({ table: name, region, endpoint, credentials, watchMs: 200, ...more } as DynamoStoreOptions),
		stop: close,
	};
}
