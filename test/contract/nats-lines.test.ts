/** What becomes of what waits: in a line for its turn, for an answer, for a connection; on one real nats-server. */
import { expect, test } from "vitest";
import { isLive, never, numbersIn, readAll, upTo, useNats } from "../support/nats-bench.ts";
import { envelopeOf, topic } from "../support/nats-fleet.ts";

const { prefix, instance, tampered } = useNats();

test("[P2] a batch that was given up while it waited in line is not sent behind what was published since", async () => {
	const link = await tampered();
	const sender = await instance({ prefix: prefix(), partitions: 1, connection: link.nc });
	const batchOf = (id: string) => upTo(2).map((n) => envelopeOf(topic(id), n));
	// As many atomic batches as may be open in a partition, and no acknowledgement.
	link.arrives = ({ subject }) => isLive(subject);
	const how = { mayExist: false };
	const open = upTo(24).map((n) => sender.transport.publish(topic(`other-${n}`), batchOf(`other-${n}`), how, never));
	const gone = new AbortController();
	const givenUp = sender.transport.publish(topic("a"), batchOf("a"), how, gone.signal);
	gone.abort();
	const next = sender.transport.publish(topic("a"), [envelopeOf(topic("a"), 3)], how, never);
	await Promise.all(open);
	link.arrives = () => true;
	await next;
	expect(await givenUp).toMatchObject(Array(2).fill({ ok: false, uncertain: false, error: { code: "Aborted" } }));
	expect(numbersIn(await readAll(sender, topic("a")))).toEqual([3]);
});
