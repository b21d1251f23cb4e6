/** A thousand end clients of one channel, on real tables and queues, with functions that die: what each of them hears. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { encodeEnvelope } from "../../lambda/layer/src/core/envelope.ts";
import { deliver } from "../../lambda/layer/src/transports/aws/cell/deliver.ts";
import { mailboxMessage } from "../../lambda/layer/src/transports/aws/cell/mailbox.ts";
import { forEachBounded, type Poster } from "../../lambda/layer/src/transports/aws/cell/poster.ts";
import { SHARDS } from "../../lambda/layer/src/transports/aws/cell/shard.ts";
import { deliverShards } from "../../lambda/layer/src/transports/aws/cell/shard-worker.ts";
import { aws } from "../../lambda/layer/src/transports/aws/sdk.ts";
import { createHistory } from "../support/history.ts";
import { announcedSeed, createRandom } from "../support/random.ts";
import { createAudience } from "./aws-cell-audience.ts";
import { createMailroom } from "./aws-cell-mailroom.ts";
import { envelopeOf, freshChannel, startWorld, type World } from "./aws-cell-world.ts";

const CLIENTS = 1_000;
const LATE = 50;
const PUBLISHERS = 3;
const EACH = 20;
const WORKERS = 4;
const WAIT_MS = 20_000;
const seed = announcedSeed("aws-cell-audience");

let world: World;
beforeAll(async () => {
	world = await startWorld();
});
afterAll(() => world?.stop());

const { portsOf, shardPortsOf } = createMailroom(() => world);

/** One invocation in four dies at one of its calls, and is not heard of again. */
function invocation(poster: Poster, random: ReturnType<typeof createRandom>) {
	let calls = 0;
	const dieAt = random.below(4) === 0 ? 1 + random.below(40) : Number.POSITIVE_INFINITY;
	const dead = Promise.withResolvers<"dead">();
	const step = async <T>(call: () => Promise<T>): Promise<T> => {
		calls += 1;
		if (calls >= dieAt) {
			dead.resolve("dead");
			if (calls > dieAt || random.below(2) === 0) return new Promise<never>(() => {});
		}
		const answer = await call();
		return calls >= dieAt ? new Promise<never>(() => {}) : answer;
	};
	const dynamo = new Proxy(world.clients.dynamo(), {
		get: (target, name, receiver) =>
			name === "send" ? (command: never) => step(() => target.send(command)) : Reflect.get(target, name, receiver),
	});
	const mortal: Poster = {
		post: (...args) => step(() => poster.post(...args)),
		close: (...args) => step(() => poster.close(...args)),
	};
	return { step, dynamo, poster: mortal, dead: dead.promise };
}

it("[P2] [P3] [P4] hear everything in order, once, over all shards, whatever dies and breaks meanwhile", async () => {
	const random = createRandom(seed);
	const history = createHistory();
	const channel = freshChannel();
	const audience = createAudience(world, channel, history, random);
	const sqs = world.clients.sqs();
	const groups = new Set<string>();
	let deaths = 0;
	let isOver = false;

	async function take(QueueUrl: string, count: number) {
		const command = new aws.sqs.ReceiveMessageCommand({
			QueueUrl,
			MaxNumberOfMessages: count,
			WaitTimeSeconds: 1,
			MessageSystemAttributeNames: ["All"],
			MessageAttributeNames: ["All"],
		});
		const { Messages = [] } = await sqs.send(command);
		return Messages.map(({ MessageId = "", Body = "", ReceiptHandle = "", Attributes, MessageAttributes }) => ({
			messageId: MessageId,
			body: Body,
			group: Attributes?.MessageGroupId ?? "",
			channel: MessageAttributes?.channel?.StringValue,
			via: [],
			receipt: ReceiptHandle,
			receives: 1, // what a death put back comes at once
		}));
	}

	type Records = Awaited<ReturnType<typeof take>>;
	async function pump(
		QueueUrl: string,
		count: number,
		work: (records: Records, of: ReturnType<typeof invocation>) => Promise<{ readonly failed: readonly string[] }>,
	) {
		while (!isOver) {
			const records = await take(QueueUrl, count);
			if (records.length === 0) continue;
			const of = invocation(audience.poster, random);
			const outcome = await Promise.race([work(records, of), of.dead]);
			if (outcome === "dead") deaths += 1;
			for (const { messageId, receipt: ReceiptHandle } of records.toReversed()) {
				if (outcome === "dead") {
					const back = { QueueUrl, ReceiptHandle, VisibilityTimeout: 0 };
					await sqs.send(new aws.sqs.ChangeMessageVisibilityCommand(back));
				} else if (!outcome.failed.includes(messageId)) {
					await sqs.send(new aws.sqs.DeleteMessageCommand({ QueueUrl, ReceiptHandle }));
				}
			}
		}
	}

	await forEachBounded(Array.from({ length: CLIENTS }), 32, () => audience.open());
	const pumps = [
		pump(world.urls.mailbox, 10, (records, { step, poster, dynamo }) => {
			const ports = portsOf(poster, dynamo);
			const sendShards: typeof ports.sendShards = (messages) => step(() => ports.sendShards(messages));
			const postpone: typeof ports.postpone = (...args) => step(() => ports.postpone(...args));
			return deliver({ ...ports, sendShards, postpone }, records);
		}),
		...Array.from({ length: WORKERS }, () =>
			pump(world.urls.shards, 1, (records, { step, poster, dynamo }) => {
				for (const { group } of records) groups.add(group);
				const ports = shardPortsOf(poster, dynamo);
				const postpone: typeof ports.postpone = (...args) => step(() => ports.postpone(...args));
				return deliverShards({ ...ports, postpone }, records);
			}),
		),
	];
	const publishing = Array.from({ length: PUBLISHERS }, async (_, publisher) => {
		for (let n = 0; n < EACH; n += 1) {
			const envelope = envelopeOf(channel, n);
			const { namespace, key } = channel;
			history.sent({ id: envelope.id, namespace, channel: key, publisher: `p${publisher}` });
			const refused = await world.queues.sendMail([mailboxMessage(key, envelope.id, encodeEnvelope(envelope))]);
			expect(refused).toEqual([]);
			await new Promise((resolve) => setTimeout(resolve, random.below(100)));
		}
	});
	const late = forEachBounded(Array.from({ length: LATE }), 2, () => audience.open());
	await Promise.all([...publishing, late]);
	for (let before = -1, since = Date.now(); history.missing() > 0; ) {
		// As long as it goes on: what no post brings in this time never comes.
		if (history.missing() !== before) [before, since] = [history.missing(), Date.now()];
		if (Date.now() - since > WAIT_MS) break;
		await new Promise((resolve) => setTimeout(resolve, 100));
	}
	isOver = true;
	await Promise.all(pumps);
	await audience.settled();
	expect(history.check().slice(0, 10), `seed ${random.seed}`).toEqual([]);
	expect([groups.size, deaths > 3, audience.counts.broken > 10]).toEqual([SHARDS, true, true]);
	// By posts, and not by reading: a page for each client that came back, and few more.
	expect(audience.counts.pages).toBeLessThan(2 * audience.counts.broken + LATE + CLIENTS / 10);
}, 120_000);
