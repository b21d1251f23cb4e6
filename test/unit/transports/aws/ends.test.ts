/** The ends of many channels, of which one partition of the log table does not answer. */
import { afterEach, beforeEach, expect, it } from "vitest";
import { type Channel, createChannel } from "../../../../lambda/layer/src/core/channel.ts";
import { systemClock } from "../../../../lambda/layer/src/core/clock.ts";
import { createIds } from "../../../../lambda/layer/src/core/ids.ts";
import { BEGINNING } from "../../../../lambda/layer/src/core/position.ts";
import type { Transport, TransportEvent } from "../../../../lambda/layer/src/core/transport.ts";
import { createAwsTransport } from "../../../../lambda/layer/src/transports/aws/index.ts";
import { createAwsClients } from "../../../../lambda/layer/src/transports/aws/sdk.ts";
import { createScriptedAws, type ScriptedAws } from "./scripted-aws.ts";

const signal = AbortSignal.timeout(60_000);
const [hot, quiet] = ["hot", "quiet"].map((id) => createChannel("topic", id)) as [Channel, Channel];
const events: TransportEvent[] = [];
let aws: ScriptedAws;
let clients: ReturnType<typeof createAwsClients>;
let transport: Transport;

beforeEach(async () => {
	aws = await createScriptedAws();
	aws.facts.set("Query", { Items: [] });
	aws.answer = ({ body }) => {
		const { S } = (body.ExpressionAttributeValues as Record<string, { S: string }>)[":key"] ?? {};
		return S === hot.key ? { status: 400, code: "ProvisionedThroughputExceededException" } : undefined;
	};
	clients = createAwsClients({
		region: "us-east-1",
		endpoint: aws.endpoint,
		credentials: { accessKeyId: "test", secretAccessKey: "test" },
	});
	const environment = {
		FANOUT_LOG_TABLE: "log",
		FANOUT_SESSIONS_TABLE: "sessions",
		FANOUT_MAILBOX_NAME: "dev-fanout-mailbox.fifo",
		FANOUT_TOPIC_ARN: "arn:aws:sns:us-east-1:000000000000:dev-fanout-topic",
		FANOUT_REGIONS: "us-east-1",
		FANOUT_RETENTION_SECONDS: "3600",
		AWS_REGION: "us-east-1",
	};
	transport = createAwsTransport(
		{ environment, follow: false, clients },
		{ clock: systemClock, ids: createIds(systemClock) },
	);
	await transport.start({ report: (event) => void events.push(event) }, signal);
});
afterEach(async () => {
	await transport.close();
	clients.close();
	await aws.close();
});

it("leaves the place of the one that does not answer empty, tells of it, and keeps no other from being checked [P3] [P7]", async () => {
	expect(await transport.ends([hot, quiet], signal)).toEqual([undefined, BEGINNING]);
	expect(events.splice(0)).toMatchObject([{ kind: "error", error: { code: "TransportUnavailable", retryable: true } }]);
});

it("fails where none answers", async () => {
	await expect(transport.ends([hot], signal)).rejects.toMatchObject({ code: "TransportUnavailable" });
});

it("costs one query a channel", async () => {
	const expiresAt = Math.floor(systemClock.now() / 1000);
	const row = (n: number, until: number) => ({
		n: { N: String(n) },
		epoch: { S: "0000abcd" },
		id: { S: `e${n}` },
		at: { N: "1" },
		expiresAt: { N: String(until) },
	});
	aws.facts.set("Query", { Items: [row(1_000, expiresAt + 60)] });
	aws.answer = undefined;
	const channels = Array.from({ length: 40 }, (_, n) => createChannel("topic", `t${n}`));
	const before = aws.named("Query").length;
	const ends = await transport.ends(channels, signal);
	expect(aws.named("Query").length - before).toBe(channels.length);
	expect(ends).toEqual(channels.map(() => ({ epoch: "0000abcd", offset: 1_000 })));
});
