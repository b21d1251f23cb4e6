/** A cell without its functions: real tables and queues on the emulator, a clock that tests move, and fresh channels. */
import { randomUUID } from "node:crypto";
import { type Channel, createChannel } from "../../lambda/layer/src/core/channel.ts";
import { type Clock, systemClock } from "../../lambda/layer/src/core/clock.ts";
import { type Envelope, encodeEnvelope } from "../../lambda/layer/src/core/envelope.ts";
import { createIds } from "../../lambda/layer/src/core/ids.ts";
import {
	type Connections,
	createConnections,
	type Follower,
} from "../../lambda/layer/src/transports/aws/cell/connections.ts";
import type { ForwardPorts } from "../../lambda/layer/src/transports/aws/cell/forward.ts";
import { createQueues, type Queues } from "../../lambda/layer/src/transports/aws/cell/queues.ts";
import { createHome, type Home } from "../../lambda/layer/src/transports/aws/home.ts";
import { createLog, type Log } from "../../lambda/layer/src/transports/aws/log.ts";
import {
	type AwsClients,
	aws,
	createAwsClients,
	type DynamoClient,
} from "../../lambda/layer/src/transports/aws/sdk.ts";
import { openEmulator } from "../support/cells.ts";

export const RETENTION_SECONDS = 1000;
export const ids = createIds(systemClock);

export interface TestClock extends Clock {
	advance(ms: number): void;
}

export function createTestClock(): TestClock {
	let ahead = 0;
	return {
		...systemClock,
		now: () => systemClock.now() + ahead,
		monotonic: () => systemClock.monotonic() + ahead,
		advance(ms) {
			ahead += ms;
		},
	};
}

export interface Mail {
	readonly body: string;
	readonly group: string | undefined;
	readonly channel: string | undefined;
	readonly via: string | undefined;
}

export interface World {
	readonly clock: TestClock;
	readonly clients: AwsClients;
	readonly tables: { readonly log: string; readonly connections: string; readonly sessions: string };
	readonly endpoint: string;
	/** What a process needs to talk to the emulator. */
	readonly env: Readonly<Record<string, string>>;
	readonly queues: Queues;
	readonly urls: { readonly mailbox: string; readonly shards: string; readonly errors: string; readonly relay: string };
	/** What forwarding from a region needs; the other region has a mailbox too. */
	forward(region?: string): ForwardPorts;
	/** Takes `count` messages or more out of a region's mailbox; fewer when no more come. */
	takeMail(region: string, count: number): Promise<Mail[]>;
	log(dynamo?: DynamoClient): Log;
	connections(dynamo?: DynamoClient): Connections;
	/** Everyone who follows a channel, in a shard or not. */
	followersOf(channelKey: string): Promise<Follower[]>;
	home(region: string): Home;
	stop(): Promise<void>;
}

const key = (hash: [string, "S" | "N"], range: [string, "S" | "N"]) => ({
	AttributeDefinitions: [hash, range].map(([AttributeName, AttributeType]) => ({ AttributeName, AttributeType })),
	KeySchema: [
		{ AttributeName: hash[0], KeyType: "HASH" as const },
		{ AttributeName: range[0], KeyType: "RANGE" as const },
	],
	BillingMode: "PAY_PER_REQUEST" as const,
});

export async function startWorld(): Promise<World> {
	const emulator = await openEmulator();
	const { AWS_ACCESS_KEY_ID: accessKeyId = "", AWS_SECRET_ACCESS_KEY: secretAccessKey = "" } = emulator.env;
	const options = { endpoint: emulator.endpoint, credentials: { accessKeyId, secretAccessKey } };
	const clients = createAwsClients({ region: "us-east-1", ...options });
	const clock = createTestClock();
	const run = randomUUID().slice(0, 8);
	const tables = { log: `log-${run}`, connections: `connections-${run}`, sessions: `sessions-${run}` };
	const make = (TableName: string, schema: ReturnType<typeof key>) =>
		clients.dynamo().send(new aws.dynamo.CreateTableCommand({ TableName, ...schema }));
	const making = Promise.all([
		make(tables.log, key(["channel", "S"], ["n", "N"])),
		make(tables.connections, key(["pk", "S"], ["sk", "S"])),
		make(tables.sessions, key(["session", "S"], ["region", "S"])),
	]);
	const queue = async (QueueName: string, Attributes = {}, region = "us-east-1") => {
		const { QueueUrl } = await clients.sqs(region).send(new aws.sqs.CreateQueueCommand({ QueueName, Attributes }));
		return QueueUrl as string;
	};
	const mailboxName = `mailbox-${run}.fifo`;
	const fifo = {
		FifoQueue: "true",
		DeduplicationScope: "messageGroup",
		FifoThroughputLimit: "perMessageGroupId",
		VisibilityTimeout: "120",
	};
	const [mailbox, elsewhere, shards, errors, relay] = await Promise.all([
		queue(mailboxName, fifo),
		queue(mailboxName, fifo, "eu-west-1"),
		queue(`shards-${run}.fifo`, fifo),
		queue(`errors-${run}`),
		queue(`relay-${run}`),
	]);
	await making;
	const mailboxes: Readonly<Record<string, string>> = { "us-east-1": mailbox, "eu-west-1": elsewhere };
	const urls = { mailbox, shards, errors, relay };
	const queuesIn = (region: string) =>
		createQueues({
			sqs: clients.sqs(region),
			mailboxName: () => mailboxName,
			errorQueueUrl: () => urls.errors,
			shardQueueUrl: () => urls.shards,
			relayQueueUrl: () => urls.relay,
		});
	const dynamo = clients.dynamo();
	const connections = (client = dynamo) => createConnections({ table: tables.connections, dynamo: client, clock });
	return {
		clock,
		clients,
		tables,
		urls,
		endpoint: emulator.endpoint,
		env: {
			AWS_ENDPOINT_URL: emulator.endpoint,
			AWS_ACCESS_KEY_ID: accessKeyId,
			AWS_SECRET_ACCESS_KEY: secretAccessKey,
		},
		queues: queuesIn("us-east-1"),
		forward: (region = "us-east-1") => ({
			region,
			home: createHome({ table: tables.sessions, dynamo, region, clock }),
			sendTo: (target, messages) => queuesIn(target).sendMail(messages),
		}),
		async takeMail(region, count) {
			const sqs = clients.sqs(region);
			const QueueUrl = mailboxes[region] as string;
			const taken: Mail[] = [];
			for (let isEmpty = false; !isEmpty && taken.length < count; ) {
				const command = new aws.sqs.ReceiveMessageCommand({
					QueueUrl,
					MaxNumberOfMessages: 10,
					WaitTimeSeconds: 1,
					MessageSystemAttributeNames: ["All"],
					MessageAttributeNames: ["All"],
				});
				const { Messages = [] } = await sqs.send(command);
				isEmpty = Messages.length === 0;
				for (const { Body = "", ReceiptHandle = "", Attributes, MessageAttributes } of Messages) {
					taken.push({
						body: Body,
						group: Attributes?.MessageGroupId,
						channel: MessageAttributes?.channel?.StringValue,
						via: MessageAttributes?.via?.StringValue,
					});
					await sqs.send(new aws.sqs.DeleteMessageCommand({ QueueUrl, ReceiptHandle }));
				}
			}
			return taken;
		},
		log: (client = dynamo) =>
			createLog({
				table: tables.log,
				dynamo: client,
				retentionSeconds: RETENTION_SECONDS,
				clock,
				random32: ids.random32,
			}),
		connections,
		async followersOf(channelKey) {
			const { followers, shards } = await connections().of(channelKey);
			const sharded = await Promise.all(shards.map((shard) => connections().ofShard(channelKey, shard)));
			return [...followers, ...sharded.flat()];
		},
		home: (region) => createHome({ table: tables.sessions, dynamo, region, clock }),
		async stop() {
			clients.close();
			await emulator.stop();
		},
	};
}

export const freshChannel = (): Channel => createChannel("topic", randomUUID());

export function envelopeOf(channel: Channel, data: unknown = "x"): Envelope {
	return {
		v: 1,
		id: ids.next(),
		channel,
		message: { jsonrpc: "2.0", method: "notifications/message", params: { data } },
		publishedAt: 1,
		origin: "test",
		lanes: ["aws"],
	};
}

export const itemOf = (envelope: Envelope) => ({ id: envelope.id, text: encodeEnvelope(envelope) });
