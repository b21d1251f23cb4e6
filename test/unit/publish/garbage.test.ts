import { expect, test } from "vitest";
import { type Channel, createChannel } from "../../../lambda/layer/src/core/channel.ts";
import type { Envelope } from "../../../lambda/layer/src/core/envelope.ts";
import { deriveId } from "../../../lambda/layer/src/core/ids.ts";
import type { NotificationInput } from "../../../lambda/layer/src/core/message.ts";
import type { Outcome } from "../../../lambda/layer/src/core/transport.ts";
import { type BusDeps, createBuses } from "../../../lambda/layer/src/mcp/bus.ts";
import { createRequestScopes } from "../../../lambda/layer/src/mcp/request-scope.ts";
import { createPublisher } from "../../../lambda/layer/src/publish/publisher.ts";
import { FakeBroker } from "../../../lambda/layer/src/testing/fake-broker.ts";
import { createFakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";
import { createFakeTransport } from "../../../lambda/layer/src/testing/fake-transport.ts";
import { keptPerMessage } from "../../support/garbage.ts";
import { createRandom } from "../../support/random.ts";

const TAKEN: Outcome = { ok: true, duplicate: false, durability: "memory", reach: "process" };

function envelope(n: number): Envelope {
	const message = { jsonrpc: "2.0" as const, method: "notifications/message", params: { n, text: "x".repeat(500) } };
	const channel = createChannel("topic", `c${n % 100}`);
	return { v: 1, id: deriveId("c", String(n)), channel, message, publishedAt: 0, origin: "test", lanes: ["fake"] };
}

test("[P6] what was taken goes with the next minor collection: nothing old leads to it", async () => {
	const transport = {
		...createFakeTransport(new FakeBroker(createRandom(1).next)),
		publish: async (_channel: unknown, batch: readonly Envelope[]) => batch.map(() => TAKEN),
	};
	const publisher = createPublisher(transport, { clock: createFakeClock(), random: () => 0.5 });
	expect(await keptPerMessage((n) => publisher.publish(envelope(n)))).toBeLessThan(200);
	publisher.close();
});

test("[P6] a bus keeps nothing of what it published and what was settled", async () => {
	const underWay: (() => void)[] = [];
	const send = (_channel: Channel, { params }: NotificationInput) => {
		// Some are always under way: what is found in a table when it is exchanged is what would be kept.
		if (underWay.length > 5) underWay.shift()?.();
		return new Promise((resolve) => underWay.push(() => resolve(params)));
	};
	const bus = createBuses({
		...{ namespace: "default", clock: createFakeClock(), scopes: createRequestScopes(), send, onerror: () => {} },
		...({} as Pick<BusDeps, "channels" | "sessions">),
	})();
	const text = "x".repeat(500);
	const kept = await keptPerMessage((n) => {
		bus.publish({ kind: "resource_updated", uri: `docs://${n}`, params: { text: `${n}${text}` } });
		return new Promise((resolve) => setImmediate(resolve));
	});
	for (const settle of underWay) settle();
	await bus.flush();
	expect(kept).toBeLessThan(100);
});
