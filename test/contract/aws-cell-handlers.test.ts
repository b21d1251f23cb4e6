/** The handlers themselves, as Lambda calls them, on real tables and queues: events in AWS's shapes, and silent logs. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { createChannel } from "../../lambda/layer/src/core/channel.ts";
import { encodeEnvelope } from "../../lambda/layer/src/core/envelope.ts";
import { BEGINNING } from "../../lambda/layer/src/core/position.ts";
import { CONNECTION_SECONDS } from "../../lambda/layer/src/transports/aws/cell/connections.ts";
import { groupOf } from "../../lambda/layer/src/transports/aws/cell/mailbox.ts";
import { shardKeyOf, shardOf } from "../../lambda/layer/src/transports/aws/cell/shard.ts";
import { aws } from "../../lambda/layer/src/transports/aws/sdk.ts";
import { createTicketKey, issueTicket, type TicketKey } from "../../lambda/layer/src/transports/aws/ticket.ts";
import { envelopeOf, freshChannel, startWorld, type World } from "./aws-cell-world.ts";

const SECRET = "a secret that no log may hold";
const CONTENT = "content that no log may hold";
const CLIENT_API = "clientapi1";
const TICKETS = `tickets-${randomUUID()}`;

let world: World;
let key: TicketKey;
const printed: string[] = [];

beforeAll(async () => {
	world = await startWorld();
	key = createTicketKey(SECRET);
	const { TopicArn = "" } = await world.clients
		.sns()
		.send(new aws.sns.CreateTopicCommand({ Name: `handlers-${randomUUID()}` }));
	await world.clients.secrets().send(new aws.secrets.CreateSecretCommand({ Name: TICKETS, SecretString: SECRET }));
	const relayUrl = world.urls.errors;
	const queueArn = `arn:aws:sqs:us-east-1:000000000000:${relayUrl.split("/").at(-1)}`;
	await world.clients.sns().send(
		new aws.sns.SubscribeCommand({
			TopicArn,
			Protocol: "sqs",
			Endpoint: queueArn,
			Attributes: { RawMessageDelivery: "true" },
		}),
	);
	const environment: Record<string, string> = {
		...world.env,
		AWS_REGION: "us-east-1",
		FANOUT_NAMESPACE: "default",
		FANOUT_LOG_TABLE: world.tables.log,
		FANOUT_CONNECTIONS_TABLE: world.tables.connections,
		FANOUT_SESSIONS_TABLE: world.tables.sessions,
		FANOUT_TOPIC_ARN: TopicArn,
		FANOUT_MAILBOX_NAME: world.urls.mailbox.split("/").at(-1) as string,
		FANOUT_REGIONS: "us-east-1,eu-west-1",
		FANOUT_BACKEND_CALLBACK: `${world.endpoint}/_aws/execute-api/backendapi/live`,
		FANOUT_CLIENT_CALLBACK: `${world.endpoint}/_aws/execute-api/${CLIENT_API}/live`,
		FANOUT_ERROR_QUEUE_URL: world.urls.errors,
		FANOUT_SHARD_QUEUE_URL: world.urls.shards,
		FANOUT_SHARD_RATE: "250",
		FANOUT_TICKET_SECRET: TICKETS,
		FANOUT_RETENTION_SECONDS: "3600",
		POWERTOOLS_DEV: "true",
		POWERTOOLS_LOG_LEVEL: "DEBUG",
		POWERTOOLS_TRACE_ENABLED: "false",
		POWERTOOLS_METRICS_NAMESPACE: "test",
		POWERTOOLS_SERVICE_NAME: "test",
	};
	for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
	for (const level of ["log", "info", "warn", "error", "debug"] as const) {
		vi.spyOn(console, level).mockImplementation((...args) => void printed.push(JSON.stringify(args)));
	}
});
afterAll(async () => {
	vi.restoreAllMocks();
	vi.unstubAllEnvs();
	await world?.stop();
});
beforeEach(() => {
	printed.length = 0;
});

const context = {
	functionName: "f",
	functionVersion: "1",
	invokedFunctionArn: "arn:aws:lambda:us-east-1:1:function:f",
	memoryLimitInMB: "128",
	awsRequestId: "r",
	logGroupName: "g",
	logStreamName: "s",
	callbackWaitsForEmptyEventLoop: false,
	getRemainingTimeInMillis: () => 10_000,
};

async function invoke(name: string, event: unknown): Promise<unknown> {
	const { handler } = (await import(`../../lambda/handlers/${name}.ts`)) as {
		handler: (event: unknown, of: typeof context) => Promise<unknown>;
	};
	return handler(event, context);
}

const socketEvent = (id: string, more: object = {}, of: object = {}) => ({
	requestContext: { connectionId: id, apiId: "backendapi", stage: "live", routeKey: "$default", ...of },
	isBase64Encoded: false,
	...more,
});

const sqsRecord = (body: string, channel: string | undefined, messageId: string = randomUUID()) => ({
	messageId,
	receiptHandle: "none",
	body,
	attributes: {
		ApproximateReceiveCount: "1",
		MessageGroupId: groupOf(channel ?? ""),
		SentTimestamp: "1",
		SenderId: "1",
		ApproximateFirstReceiveTimestamp: "1",
	},
	messageAttributes: channel === undefined ? {} : { channel: { stringValue: channel, dataType: "String" } },
	md5OfBody: "",
	eventSource: "aws:sqs",
	eventSourceARN: "arn",
	awsRegion: "us-east-1",
});

describe("authorize and connect", () => {
	it("let a ticket in with its claims, choose the protocol, and let nobody else into the client API", async () => {
		const { clock } = world;
		const channels = [freshChannel().key];
		const ticket = await issueTicket(key, { namespace: "default", tenant: "default", principal: "u", channels }, clock);
		const headers = { "Sec-WebSocket-Protocol": `mcp-fanout, ticket.${ticket}` };
		const request = { type: "REQUEST", methodArn: "arn:aws:execute-api:us-east-1:1:a/live/$connect" };
		const policy = (await invoke("authorize", { ...request, headers })) as { context: { claims: string } };
		expect(policy).toMatchObject({ principalId: "u", policyDocument: { Statement: [{ Effect: "Allow" }] } });
		expect(await invoke("authorize", { ...request, headers: {} })).toMatchObject({
			policyDocument: { Statement: [{ Effect: "Deny" }] },
		});
		const [client, backend, intruder] = [randomUUID(), randomUUID(), randomUUID()];
		const authorizer = { claims: policy.context.claims };
		expect(await invoke("connect", socketEvent(client, { headers }, { apiId: CLIENT_API, authorizer }))).toEqual({
			statusCode: 200,
			headers: { "Sec-WebSocket-Protocol": "mcp-fanout" },
		});
		expect(await world.connections().meta(client)).toMatchObject({
			api: "client",
			claims: { principal: "u", channels },
		});
		// Before the handshake has ended a post answers 410, which would remove it: it follows by `subscribe` only.
		expect(await world.followersOf(channels[0] as string)).toEqual([]);
		expect(await invoke("connect", socketEvent(backend))).toEqual({ statusCode: 200 });
		expect(await world.connections().meta(backend)).toMatchObject({ api: "backend" });
		expect(await invoke("connect", socketEvent(intruder, {}, { apiId: CLIENT_API }))).toEqual({ statusCode: 403 });
		expect(await world.connections().meta(intruder)).toBeUndefined();
		expect(await invoke("disconnect", socketEvent(client))).toEqual({ statusCode: 200 });
		expect(await world.connections().meta(client)).toBeUndefined();
		expect(printed.join()).not.toContain(ticket);
		expect(printed.join()).not.toContain(SECRET);
	});
});

describe("subscribe", () => {
	it("answers with an empty body, also to a connection that is unknown or has gone", async () => {
		expect(await invoke("subscribe", socketEvent("unknown", { body: '{"action":"ping","ref":1}' }))).toEqual({
			statusCode: 200,
		});
		const id = randomUUID();
		await world.connections().open({ id, api: "backend" });
		expect(await invoke("subscribe", socketEvent(id, { body: '{"action":"ping","ref":1}' }))).toEqual({
			statusCode: 200,
		});
		expect(await world.connections().meta(id)).toBeUndefined();
	});
});

describe("deliver", () => {
	it("[P10] appends, forgets who has gone, copies what it cannot read, and logs no content", async () => {
		const channel = freshChannel();
		const id = randomUUID();
		const expiresAt = Math.floor(Date.now() / 1000) + CONNECTION_SECONDS;
		await world.connections().follow({ id, api: "backend", expiresAt }, [channel.key]);
		const envelope = envelopeOf(channel, CONTENT);
		const Records = [sqsRecord(encodeEnvelope(envelope), channel.key), sqsRecord(`{${CONTENT}`, channel.key)];
		expect(await invoke("deliver", { Records })).toEqual({ batchItemFailures: [] });
		const page = await world.log().read({ channel, from: BEGINNING, limit: 9 });
		expect(page.entries.map((entry) => entry.envelope?.id)).toEqual([envelope.id, undefined]);
		expect(await world.followersOf(channel.key)).toEqual([]);
		const log = printed.join();
		expect(log).toContain("message cannot be decoded");
		expect(log).not.toContain(CONTENT);
	});
});

describe("shard", () => {
	it("[P10] posts what deliver sent it, forgets who has gone, and logs no content", async () => {
		const channel = freshChannel();
		const id = randomUUID();
		const expiresAt = Math.floor(Date.now() / 1000) + CONNECTION_SECONDS;
		await world.connections().follow({ id, api: "client", expiresAt }, [channel.key]);
		const Records = [sqsRecord(encodeEnvelope(envelopeOf(channel, CONTENT)), channel.key)];
		expect(await invoke("deliver", { Records })).toEqual({ batchItemFailures: [] });
		const command = new aws.sqs.ReceiveMessageCommand({ QueueUrl: world.urls.shards, WaitTimeSeconds: 5 });
		const { Body = "" } = (await world.clients.sqs().send(command)).Messages?.[0] ?? {};
		expect(JSON.parse(Body)).toMatchObject({ v: 1, channel: channel.key });
		const record = sqsRecord(Body, channel.key);
		const MessageGroupId = groupOf(shardKeyOf(channel.key, shardOf(id)));
		const sent = { ...record, attributes: { ...record.attributes, MessageGroupId } };
		expect(await invoke("shard", { Records: [sent] })).toEqual({ batchItemFailures: [] });
		expect(await world.followersOf(channel.key)).toEqual([]);
		expect(await invoke("shard", { Records: [sqsRecord(`{${CONTENT}`, channel.key)] })).toEqual({
			batchItemFailures: [],
		});
		const log = printed.join();
		expect(log).toContain("message cannot be decoded");
		expect(log).not.toContain(CONTENT);
	});
});

describe("relay", () => {
	it("[P10] moves a copy to the mailbox and logs no content", async () => {
		const channel = freshChannel();
		const body = encodeEnvelope(envelopeOf(channel, CONTENT));
		expect(await invoke("relay", { Records: [sqsRecord(body, channel.key)] })).toEqual({ batchItemFailures: [] });
		const [mail] = await world.takeMail("us-east-1", 1);
		expect(mail).toMatchObject({ body, channel: channel.key });
		expect(printed.join()).not.toContain(CONTENT);
	});
});

describe("ingest", () => {
	const event = { id: "e1", source: "s", time: "t", method: "notifications/message", params: { data: CONTENT } };

	it("[P10] publishes to a session's mailbox, drops what makes no notification, and logs no content", async () => {
		const session = randomUUID();
		await expect(invoke("ingest", { ...event, to: { session } })).resolves.toBeUndefined();
		await expect(invoke("ingest", { ...event, to: { session } })).resolves.toBeUndefined();
		const taken = await world.takeMail("us-east-1", 2);
		expect(taken.map(({ channel }) => channel)).toEqual([createChannel("session", session).key]);
		await expect(invoke("ingest", { ...event, to: { topic: "news" } })).resolves.toBeUndefined();
		await expect(invoke("ingest", { ...event, to: {}, method: CONTENT })).resolves.toBeUndefined();
		expect(printed.join()).toContain("event makes no notification");
		expect(printed.join()).not.toContain(CONTENT);
	});

	it("throws when the publish is refused, so that the event comes again", async () => {
		vi.stubEnv("FANOUT_MAILBOX_NAME", "nowhere.fifo");
		vi.resetModules();
		try {
			await expect(invoke("ingest", { ...event, to: { session: randomUUID() } })).rejects.toThrow();
		} finally {
			vi.stubEnv("FANOUT_MAILBOX_NAME", world.urls.mailbox.split("/").at(-1) as string);
			vi.resetModules();
		}
	});
});

describe("sync", () => {
	it("passes over records that make no sense, and evicts by one that does", async () => {
		const session = createChannel("session", randomUUID()).key;
		const id = randomUUID();
		const expiresAt = Math.floor(Date.now() / 1000) + CONNECTION_SECONDS;
		await world.connections().follow({ id, api: "backend", expiresAt }, [session]);
		await world.home("eu-west-1").claim(session);
		const item = {
			session: { S: session },
			region: { S: "eu-west-1" },
			counter: { N: "1" },
			at: { N: String(Date.now()) },
		};
		const record = (SequenceNumber: string, NewImage?: object) => ({
			eventID: SequenceNumber,
			eventName: "INSERT",
			dynamodb: { SequenceNumber, ...(NewImage === undefined ? {} : { NewImage }) },
		});
		const Records = [
			record("1"),
			{ eventID: "2" },
			record("3", { session: { N: "7" }, region: { S: "x" } }),
			record("4", { ...item, session: { S: "not a channel" } }),
			record("5", { ...item, at: { S: "soon" } }),
			record("6", item),
		];
		expect(await invoke("sync", { Records })).toEqual({ batchItemFailures: [] });
		expect(await world.followersOf(session)).toEqual([]);
	});
});
