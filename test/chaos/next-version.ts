/** A process of the next release: what it publishes has an envelope version that nobody here reads. */
import { createChannel } from "../../lambda/layer/src/core/channel.ts";
import { systemClock } from "../../lambda/layer/src/core/clock.ts";
import { type Envelope, WRITTEN_VERSION } from "../../lambda/layer/src/core/envelope.ts";
import { createIds } from "../../lambda/layer/src/core/ids.ts";
import type { Transport } from "../../lambda/layer/src/core/transport.ts";
import { createPublisher } from "../../lambda/layer/src/publish/publisher.ts";

const DEADLINE_MS = 10_000;
const ids = createIds(systemClock);

/** Starts the transport, publishes one envelope to the topic, and closes it; throws when it was not accepted. */
export async function nextVersion(transport: Transport, namespace: string, topic: string): Promise<void> {
	try {
		await transport.start({ report: () => {} }, AbortSignal.timeout(DEADLINE_MS));
		const random = () => ids.random32() / 2 ** 32;
		const publisher = createPublisher(transport, { clock: systemClock, random, limits: { timeoutMs: DEADLINE_MS } });
		const outcome = await publisher.publish(envelopeOf(transport.name, namespace, topic));
		publisher.close();
		if (!outcome.ok) throw outcome.error;
	} finally {
		await transport.close();
	}
}

function envelopeOf(lane: string, namespace: string, topic: string): Envelope {
	return {
		v: WRITTEN_VERSION + 1,
		id: ids.next(),
		channel: createChannel("topic", topic, { namespace }),
		message: { jsonrpc: "2.0", method: "notifications/of-the-next-release" },
		publishedAt: Date.now(),
		origin: "next-release",
		lanes: [lane],
	};
}
