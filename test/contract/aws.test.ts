/** The contract on the deployed cell: real queues, topics, tables, functions and WebSocket APIs of the emulator. */
import { DeleteCommand, paginateQuery } from "@aws-sdk/lib-dynamodb";
import type { Harness } from "mcp-fanout/testing/transport";
import { createAwsTransport } from "mcp-fanout/transports/aws";
import { afterAll } from "vitest";
import type { Channel } from "../../lambda/layer/src/core/channel.ts";
import { systemClock } from "../../lambda/layer/src/core/clock.ts";
import { createIds } from "../../lambda/layer/src/core/ids.ts";
import type { Outcome, Transport } from "../../lambda/layer/src/core/transport.ts";
import { createAwsClients } from "../../lambda/layer/src/transports/aws/sdk.ts";
import { openCells } from "../support/cells.ts";
import { runContract } from "./map.ts";

const { emulator, cells, close } = await openCells();
const cell = cells[0];
if (cell === undefined) throw new Error("no cell was deployed");
const { region, environment } = cell;
const clients = createAwsClients({
	region,
	endpoint: emulator.endpoint,
	credentials: {
		accessKeyId: emulator.env.AWS_ACCESS_KEY_ID as string,
		secretAccessKey: emulator.env.AWS_SECRET_ACCESS_KEY as string,
	},
});
afterAll(async () => {
	clients.close();
	await close();
});

const ids = createIds(systemClock);
const run = ids.random32().toString(36);
let count = 0;

interface Row {
	readonly n: number;
	readonly id: string;
}

/** The channel's log, oldest first. */
async function rowsOf(channel: Channel): Promise<Row[]> {
	const rows: Row[] = [];
	const query = {
		TableName: environment.FANOUT_LOG_TABLE,
		ConsistentRead: true,
		KeyConditionExpression: "channel = :key",
		ExpressionAttributeValues: { ":key": channel.key },
	};
	for await (const { Items = [] } of paginateQuery({ client: clients.dynamo() }, query)) rows.push(...(Items as Row[]));
	return rows;
}

async function remove(channel: Channel, rows: readonly Row[]): Promise<void> {
	for (const { n } of rows) {
		const command = new DeleteCommand({ TableName: environment.FANOUT_LOG_TABLE, Key: { channel: channel.key, n } });
		await clients.dynamo().send(command);
	}
}

const WAIT_MS = 20_000;

/**
 * Shared channels have the order in which messages came to each region's queue (P2), and standard topics and queues
 * do not keep a publisher's. So that the cases, which are written for one order, hold: each publish waits for its row.
 */
function oneByOne(transport: Transport): Transport {
	const appended = async (channel: Channel, id: string) => {
		const until = Date.now() + WAIT_MS;
		while (!(await rowsOf(channel)).some((row) => row.id === id)) {
			if (Date.now() > until) throw new Error(`no row of ${id} after ${WAIT_MS} ms`);
			await new Promise((resolve) => setTimeout(resolve, 20));
		}
	};
	return {
		...transport,
		async publish(channel, batch, options, signal) {
			const outcomes: Outcome[] = [];
			for (const envelope of batch) {
				const [outcome] = await transport.publish(channel, [envelope], options, signal);
				if (outcome === undefined) throw new Error("an envelope has no outcome");
				outcomes.push(outcome);
				if (outcome.ok) await appended(channel, envelope.id);
				else while (outcomes.length < batch.length) outcomes.push(outcome);
				if (!outcome.ok) break;
			}
			return outcomes;
		},
	};
}

const create = () =>
	createAwsTransport({ environment, region, endpoint: emulator.endpoint, clients }, { clock: systemClock, ids });

const harness = (kind: "session" | "topic" | "instance", createTransport: Harness["createTransport"]): Harness => ({
	kind,
	createTransport,
	onlyNamespace: environment.FANOUT_NAMESPACE,
	namespace: () => `contract-${run}-${++count}`,
	limits: { waitMs: WAIT_MS, pollMs: 50, startMs: 15_000 },
	forget: async (channel) => remove(channel, (await rowsOf(channel)).slice(0, 1)),
	reset: async (channel) => remove(channel, await rowsOf(channel)),
});

runContract("aws, sessions by their home's mailbox", () => harness("session", async () => create()));
runContract("aws, control addresses by the own region's mailbox", () => harness("instance", async () => create()));
runContract("aws, topics by every region's relay, one by one", () => harness("topic", async () => oneByOne(create())));
