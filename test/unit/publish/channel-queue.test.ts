import { expect, test } from "vitest";
import { createChannel } from "../../../lambda/layer/src/core/channel.ts";
import type { Envelope } from "../../../lambda/layer/src/core/envelope.ts";
import { FanoutError } from "../../../lambda/layer/src/core/errors.ts";
import { deriveId } from "../../../lambda/layer/src/core/ids.ts";
import type { Transport } from "../../../lambda/layer/src/core/transport.ts";
import { createPublisher } from "../../../lambda/layer/src/publish/publisher.ts";
import { FakeBroker } from "../../../lambda/layer/src/testing/fake-broker.ts";
import { createFakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";
import { createFakeTransport } from "../../../lambda/layer/src/testing/fake-transport.ts";
import { createRandom } from "../../support/random.ts";

function envelope(n: number): Envelope {
	const message = { jsonrpc: "2.0" as const, method: "notifications/message", params: { n } };
	const channel = createChannel("topic", "c");
	return { v: 1, id: deriveId("c", String(n)), channel, message, publishedAt: 0, origin: "test", lanes: ["fake"] };
}

test.each([0, 1, 2, 3, 4, 5])(
	"[P1] [P9] a publish %i turns of the microtask queue after the answer is sent too",
	async (turns) => {
		const clock = createFakeClock();
		const transport = createFakeTransport(new FakeBroker(createRandom(1).next));
		const publisher = createPublisher(transport, { clock, random: () => 0.5 });
		let second: Promise<unknown> | undefined;
		publisher.publish(envelope(1)).then(async () => {
			for (let turn = 0; turn < turns; turn += 1) await undefined;
			second = publisher.publish(envelope(2));
		});
		await clock.advance(10_000);
		let settled = false;
		second?.then(() => {
			settled = true;
		});
		await clock.settle();
		expect(settled).toBe(true);
	},
);

test("[P9] a publisher is drained once nothing is queued or in flight, however many channels it has had", async () => {
	const clock = createFakeClock();
	const publisher = createPublisher(createFakeTransport(new FakeBroker(createRandom(1).next)), {
		clock,
		random: () => 0.5,
	});
	const one = (n: number) => ({ ...envelope(n), channel: createChannel("topic", `c${n % 1_500}`) });
	let drained = false;
	for (let round = 0; round < 3; round += 1) {
		const sent = Array.from({ length: 3_000 }, (_, n) => publisher.publish(one(n + round * 3_000)));
		drained = false;
		const over = publisher.drained(60_000).then(() => {
			drained = true;
		});
		await Promise.resolve();
		expect(drained).toBe(false);
		await clock.advance(1_000);
		expect((await Promise.all(sent)).every(({ ok }) => ok)).toBe(true);
		await over;
		await publisher.drained(60_000);
	}
	publisher.close();
});

test("[P1] a failure at the deadline says in its message why the last offer was refused", async () => {
	const clock = createFakeClock();
	const why = new FanoutError("TransportUnavailable", "the disk is full", { retryable: true });
	const transport = createFakeTransport(new FakeBroker(createRandom(1).next));
	const publish: Transport["publish"] = async (_channel, batch) =>
		batch.map(() => ({ ok: false, uncertain: false, error: why }));
	const publisher = createPublisher({ ...transport, publish }, { clock, random: () => 0.5 });
	const sent = publisher.publish(envelope(1));
	await clock.advance(10_000);
	expect(await sent).toMatchObject({
		ok: false,
		error: { message: expect.stringMatching(/deadline: the disk is full$/) },
	});
	publisher.close();
});
