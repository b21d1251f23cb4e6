import { createHash } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Channel, createChannel } from "../../../../lambda/layer/src/core/channel.ts";
import { systemClock } from "../../../../lambda/layer/src/core/clock.ts";
import { type Envelope, encodeEnvelope, envelopeBytes } from "../../../../lambda/layer/src/core/envelope.ts";
import { createIds } from "../../../../lambda/layer/src/core/ids.ts";
import type { Outcome, Transport } from "../../../../lambda/layer/src/core/transport.ts";
import { createFill } from "../../../../lambda/layer/src/testing/seeded.ts";
import { createAwsTransport } from "../../../../lambda/layer/src/transports/aws/index.ts";
import { createAwsClients } from "../../../../lambda/layer/src/transports/aws/sdk.ts";
import { createScriptedAws, type ScriptedAws } from "./scripted-aws.ts";

const HOUR = 3_600;
const OWN = "us-east-1";
const FAR = "eu-west-1";
const ids = createIds(systemClock, createFill(7));
const session = createChannel("session", "s-1");
const topic = createChannel("topic", "news");

let aws: ScriptedAws;
let transport: Transport;
let clients: ReturnType<typeof createAwsClients>;

const cell = (regions: string) => ({
	FANOUT_LOG_TABLE: "log",
	FANOUT_SESSIONS_TABLE: "sessions",
	FANOUT_MAILBOX_NAME: "dev-fanout-mailbox.fifo",
	FANOUT_TOPIC_ARN: `arn:aws:sns:${OWN}:000000000000:dev-fanout-topic`,
	FANOUT_REGIONS: regions,
	FANOUT_RETENTION_SECONDS: "3600",
	AWS_REGION: OWN,
});

const envelope = (channel: Channel, params: Record<string, unknown> = {}): Envelope => ({
	v: 1,
	id: ids.next(),
	channel,
	message: { jsonrpc: "2.0", method: "notifications/x", params },
	publishedAt: Date.now(),
	origin: "test",
	lanes: ["aws"],
});

const publish = (channel: Channel, ...batch: Envelope[]): Promise<Outcome[]> =>
	transport.publish(channel, batch, { mayExist: false }, new AbortController().signal);

const home = (region: string, counter = 1) =>
	aws.homes.push({ session: session.key, region, counter, expiresAt: Math.floor(Date.now() / 1000) + HOUR });

function make(regions = `${OWN},${FAR}`) {
	clients = createAwsClients({
		region: OWN,
		endpoint: aws.endpoint,
		credentials: { accessKeyId: "test", secretAccessKey: "test" },
		sendAttempts: 1,
	});
	transport = createAwsTransport({ environment: cell(regions), follow: false, clients }, { clock: systemClock, ids });
}

beforeEach(async () => {
	aws = await createScriptedAws();
	make();
});
afterEach(async () => {
	await transport.close();
	clients.close();
	await aws.close();
});

describe("a session's envelopes", () => {
	it("go to the mailbox of its home region, by group and deduplication id", async () => {
		home(FAR);
		const sent = envelope(session);
		expect(await publish(session, sent)).toEqual([
			{ ok: true, duplicate: false, durability: "replicated", reach: "global" },
		]);
		const [call] = aws.named("SendMessage");
		expect(call?.region).toBe(FAR);
		expect(call?.body).toMatchObject({
			MessageBody: encodeEnvelope(sent),
			MessageGroupId: createHash("sha256").update(session.key).digest("base64url"),
			MessageDeduplicationId: sent.id,
			MessageAttributes: { channel: { DataType: "String", StringValue: session.key } },
		});
	});

	it("claim the own region when it has no home, and look neither home nor queue up again", async () => {
		await publish(session, envelope(session), envelope(session));
		await publish(session, envelope(session));
		expect(aws.named("PutItem")).toHaveLength(1);
		expect(aws.named("SendMessage").map(({ region }) => region)).toEqual([OWN, OWN, OWN]);
		expect(aws.named("GetQueueUrl")).toHaveLength(1);
		expect(aws.named("Query")).toHaveLength(2);
	});

	it("find another region's mailbox by the parameter that its stacks wrote, once; without one they say so, and send nothing", async () => {
		await transport.close();
		const options = { environment: cell(`${OWN},${FAR}`), follow: false, clients, parameterPrefix: "dev-fanout" };
		const url = `${aws.endpoint}/000000000000/own.fifo`;
		transport = createAwsTransport({ ...options, mailbox: { url } }, { clock: systemClock, ids });
		await publish(session, envelope(session));
		expect(aws.named("SendMessage").map(({ body }) => body.QueueUrl)).toEqual([url]);
		expect(aws.named("GetQueueUrl")).toEqual([]);

		const far = createChannel("session", "s-2");
		aws.homes.push({ session: far.key, region: FAR, counter: 1, expiresAt: Math.floor(Date.now() / 1000) + HOUR });
		aws.answer = ({ action }) => (action === "GetParameter" ? { status: 400, code: "ParameterNotFound" } : undefined);
		const sent = envelope(far);
		expect(await publish(far, sent)).toMatchObject([
			{
				ok: false,
				uncertain: false,
				error: { message: expect.stringContaining(`/dev-fanout/mailbox-name in ${FAR}`) },
			},
		]);
		aws.answer = undefined;
		aws.facts.set("GetParameter", { Parameter: { Value: "theirs.fifo" } });
		expect(await publish(far, sent, envelope(far))).toMatchObject([{ ok: true }, { ok: true }]);
		expect(aws.named("GetParameter").map(({ region, body }) => [region, body.Name])).toEqual([
			[FAR, "/dev-fanout/mailbox-name"],
			[FAR, "/dev-fanout/mailbox-name"],
		]);
		expect(aws.named("GetQueueUrl").map(({ region, body }) => [region, body.QueueName])).toEqual([
			[FAR, "theirs.fifo"],
		]);
	});

	it("take the POST streams of the session with them", async () => {
		home(FAR);
		const post = createChannel("post", "s-1/4");
		await publish(post, envelope(post));
		expect(aws.named("SendMessage").map(({ region }) => region)).toEqual([FAR]);
	});

	it("reach the region only, where there is only one", async () => {
		await transport.close();
		make(OWN);
		expect(transport.capabilities.reach).toBe("region");
		expect(await publish(session, envelope(session))).toMatchObject([{ ok: true, reach: "region" }]);
	});

	it("stop at the first that fails, so that none overtakes it", async () => {
		home(OWN);
		const batch = Array.from({ length: 4 }, () => envelope(session));
		aws.answer = ({ body }) =>
			body.MessageDeduplicationId === batch[1]?.id ? { status: 400, code: "InvalidMessageContents" } : undefined;
		const outcomes = await publish(session, ...batch);
		expect(outcomes.map(({ ok }) => ok)).toEqual([true, false, false, false]);
		expect(outcomes[1]).toMatchObject({ uncertain: false, error: { code: "TransportRefused", retryable: false } });
		expect(outcomes[2]).toMatchObject({ uncertain: false });
		expect(aws.named("SendMessage")).toHaveLength(2);
	});

	it("are certainly refused when the look-up of the home fails", async () => {
		aws.answer = ({ action }) => (action === "Query" ? { status: 500, code: "InternalServerError" } : undefined);
		expect(await publish(session, envelope(session))).toMatchObject([
			{ ok: false, uncertain: false, error: { code: "TransportUnavailable", retryable: true } },
		]);
		expect(aws.named("SendMessage")).toHaveLength(0);
	});

	it("are kept by the own region, with that reach, when the home was not reached at all", async () => {
		home(FAR);
		aws.answer = ({ action, region }) =>
			action === "SendMessage" && region === FAR ? { status: 429, code: "ThrottlingException" } : undefined;
		expect(await publish(session, envelope(session))).toMatchObject([{ ok: true, reach: "region" }]);
		expect(aws.named("SendMessage").at(-1)?.region).toBe(OWN);
	});

	it("are kept by the own region as well when nobody listens at the home", async () => {
		home(FAR);
		const closed = await createScriptedAws();
		await closed.close();
		const credentials = { accessKeyId: "test", secretAccessKey: "test" };
		const nowhere = createAwsClients({ region: OWN, endpoint: closed.endpoint, credentials, sendAttempts: 1 });
		await transport.close();
		transport = createAwsTransport(
			{
				environment: cell(`${OWN},${FAR}`),
				follow: false,
				clients: { ...clients, sqs: (region = OWN) => (region === FAR ? nowhere : clients).sqs(region) },
			},
			{ clock: systemClock, ids },
		);
		expect(await publish(session, envelope(session))).toMatchObject([{ ok: true, reach: "region" }]);
		expect(aws.named("SendMessage").map(({ region }) => region)).toEqual([OWN]);
		nowhere.close();
	});

	it("are kept by the own region when the home answers nothing before anything is sent to it [P7]", async () => {
		home(FAR);
		aws.answer = ({ action, region }) => (action === "GetQueueUrl" && region === FAR ? "cut" : undefined);
		expect(await publish(session, envelope(session))).toMatchObject([{ ok: true, reach: "region" }]);
		expect(aws.named("SendMessage").map(({ region }) => region)).toEqual([OWN]);
		aws.answer = ({ action }) => (action === "GetQueueUrl" ? { status: 400, code: "QueueDoesNotExist" } : undefined);
		expect(await publish(session, envelope(session))).toMatchObject([{ ok: false, uncertain: false }]);
	});

	it("are not sent a second way when the home may have taken them", async () => {
		home(FAR);
		aws.answer = ({ action }) => (action === "SendMessage" ? "cut" : undefined);
		expect(await publish(session, envelope(session))).toMatchObject([{ ok: false, uncertain: true }]);
		expect(aws.named("SendMessage").every(({ region }) => region === FAR)).toBe(true);
	});
});

describe("a shared channel's envelopes", () => {
	it("go to the own region's topic with channel and kind", async () => {
		const sent = envelope(topic);
		expect(await publish(topic, sent)).toEqual([
			{ ok: true, duplicate: false, durability: "replicated", reach: "global" },
		]);
		const [call] = aws.named("Publish");
		expect(call?.region).toBe(OWN);
		expect(call?.body.Message).toBe(encodeEnvelope(sent));
		const values = Object.entries(call?.body ?? {}).filter(([name]) => name.endsWith("Value.StringValue"));
		expect(values.map(([, value]) => value).sort()).toEqual([topic.key, "topic"]);
	});

	it("tell a stated refusal from a failure whose outcome nobody knows", async () => {
		aws.answer = () => ({ status: 403, code: "AuthorizationError" });
		expect(await publish(topic, envelope(topic))).toMatchObject([
			{ ok: false, uncertain: false, error: { code: "TransportRefused", retryable: false } },
		]);
		aws.answer = () => "cut";
		expect(await publish(topic, envelope(topic))).toMatchObject([
			{ ok: false, uncertain: true, error: { code: "TransportUnavailable", retryable: true } },
		]);
		aws.answer = () => ({ status: 503, code: "ServiceUnavailable" });
		expect(await publish(topic, envelope(topic))).toMatchObject([{ ok: false, uncertain: true }]);
	});
});

it("is uncertain when the caller gave up while a send was under way", async () => {
	const giveUp = new AbortController();
	aws.answer = () => {
		setImmediate(() => giveUp.abort());
		return "silent";
	};
	const outcomes = await transport.publish(topic, [envelope(topic)], { mayExist: false }, giveUp.signal);
	expect(outcomes).toMatchObject([{ ok: false, uncertain: true }]);
});

it("is certain, and for now only, where nobody listens", async () => {
	await aws.close();
	const outcomes = await publish(topic, envelope(topic));
	expect(outcomes).toMatchObject([
		{ ok: false, uncertain: false, error: { code: "TransportUnavailable", retryable: true } },
	]);
	aws = await createScriptedAws();
});

it("refuses what is too large with both sizes, before any call", async () => {
	const large = envelope(session, { text: "x".repeat(120 * 1024) });
	expect(await publish(session, large)).toMatchObject([
		{
			ok: false,
			uncertain: false,
			error: { code: "PayloadTooLarge", data: { bytes: envelopeBytes(large), maxBytes: 120 * 1024 } },
		},
	]);
	expect(aws.calls).toEqual([]);
});

it("sends what processes tell each other to the own region's mailbox, and asks no table for a home", async () => {
	const instance = createChannel("instance", "i-1");
	const sent = envelope(instance);
	expect(await publish(instance, sent)).toMatchObject([{ ok: true, reach: "region" }]);
	expect(aws.calls.map(({ region, action }) => [region, action])).toEqual([
		[OWN, "GetQueueUrl"],
		[OWN, "SendMessage"],
	]);
});

it("refuses to publish once closed, and closes twice", async () => {
	await transport.close();
	await transport.close();
	await expect(publish(topic, envelope(topic))).rejects.toMatchObject({ code: "Closed" });
});
