import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { createChannel } from "../../../lambda/layer/src/core/channel.ts";
import type { Envelope } from "../../../lambda/layer/src/core/envelope.ts";
import { deriveId } from "../../../lambda/layer/src/core/ids.ts";
import type { Outcome } from "../../../lambda/layer/src/core/transport.ts";
import { createPublisher } from "../../../lambda/layer/src/publish/publisher.ts";
import { FakeBroker } from "../../../lambda/layer/src/testing/fake-broker.ts";
import { createFakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";
import { createFakeTransport } from "../../../lambda/layer/src/testing/fake-transport.ts";
import { createRandom } from "../../support/random.ts";

const TAKEN: Outcome = { ok: true, duplicate: false, durability: "memory", reach: "process" };
const MESSAGES = 6_000;

function envelope(n: number): Envelope {
	const message = { jsonrpc: "2.0" as const, method: "notifications/message", params: { n, text: "x".repeat(500) } };
	const channel = createChannel("topic", `c${n % 100}`);
	return { v: 1, id: deriveId("c", String(n)), channel, message, publishedAt: 0, origin: "test", lanes: ["fake"] };
}

function oldBytes(): number {
	return getHeapSpaceStatistics().find(({ space_name: name }) => name === "old_space")?.space_used_size ?? 0;
}

test("[P6] what was taken goes with the next minor collection: nothing old leads to it", async () => {
	setFlagsFromString("--expose-gc");
	const collect = runInNewContext("gc") as (how?: { type: "minor" }) => void;
	const transport = {
		...createFakeTransport(new FakeBroker(createRandom(1).next)),
		publish: async (_channel: unknown, batch: readonly Envelope[]) => batch.map(() => TAKEN),
	};
	const publisher = createPublisher(transport, { clock: createFakeClock(), random: () => 0.5 });
	const publishSome = async () => {
		for (let n = 0; n < MESSAGES; n += 1) {
			await publisher.publish(envelope(n));
			if (n % 100 === 0) collect({ type: "minor" });
		}
	};
	await publishSome();
	collect();
	const before = oldBytes();
	await publishSome();
	expect((oldBytes() - before) / MESSAGES).toBeLessThan(200);
	publisher.close();
});
