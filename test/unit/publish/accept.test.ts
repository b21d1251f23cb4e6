import { expect, test } from "vitest";
import { createChannel } from "../../../lambda/layer/src/core/channel.ts";
import type { Envelope } from "../../../lambda/layer/src/core/envelope.ts";
import { FanoutError } from "../../../lambda/layer/src/core/errors.ts";
import { deriveId } from "../../../lambda/layer/src/core/ids.ts";
import type { Outcome } from "../../../lambda/layer/src/core/transport.ts";
import type { LaneOutcome } from "../../../lambda/layer/src/publish/item.ts";
import { createPublisher, type PublisherDeps } from "../../../lambda/layer/src/publish/publisher.ts";
import { FakeBroker } from "../../../lambda/layer/src/testing/fake-broker.ts";
import { createFakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";
import { createFakeTransport } from "../../../lambda/layer/src/testing/fake-transport.ts";
import { createRandom } from "../../support/random.ts";

const TAKEN: Outcome = { ok: true, duplicate: false, durability: "memory", reach: "process" };

function envelope(n: number, padding = ""): Envelope {
	const message = { jsonrpc: "2.0" as const, method: "notifications/message", params: { n, padding } };
	const channel = createChannel("topic", "c");
	return { v: 1, id: deriveId("c", String(n)), channel, message, publishedAt: 0, origin: "test", lanes: ["fake"] };
}

/** A publisher of a transport that may answer at once; `entered` lists what came in either way, in order. */
function world(answer: (n: number) => Outcome, more: Partial<PublisherDeps> = {}) {
	const clock = createFakeClock();
	const entered: number[] = [];
	const fake = createFakeTransport(new FakeBroker(createRandom(1).next));
	const numberOf = ({ message }: Envelope) => (message as unknown as { params: { n: number } }).params.n;
	const transport = {
		...fake,
		accept(one: Envelope): Outcome {
			const outcome = answer(numberOf(one));
			if (outcome.ok) entered.push(numberOf(one));
			return outcome;
		},
		publish: (async (channel, batch, options, signal) => {
			const outcomes = await fake.publish(channel, batch, options, signal);
			entered.push(...batch.map(numberOf));
			return outcomes;
		}) satisfies typeof fake.publish,
	};
	const publisher = createPublisher(transport, { clock, random: () => 0.5, ...more });
	/** As a fanout does. */
	const send = (one: Envelope): LaneOutcome | Promise<LaneOutcome> => publisher.accept(one) ?? publisher.publish(one);
	return { clock, entered, publisher, send };
}

const refused = (retryable: boolean): Outcome => ({
	ok: false,
	uncertain: false,
	error: new FanoutError("TransportUnavailable", "not now", { retryable }),
});

test("[P1] what a transport answers at once is the answer", () => {
	const { publisher } = world(() => TAKEN);
	expect(publisher.accept(envelope(1))).toBe(TAKEN);
	const { publisher: other } = world(() => refused(false));
	expect(other.accept(envelope(1))).toMatchObject({ ok: false, error: { code: "TransportUnavailable" } });
});

test("[P2] what is refused for now is queued, and nothing passes it", async () => {
	const { clock, entered, send } = world((n) => (n === 2 ? refused(true) : TAKEN));
	const outcomes = [1, 2, 3].map((n) => send(envelope(n)));
	expect(entered).toEqual([1]);
	await clock.advance(1_000);
	expect(await Promise.all(outcomes)).toMatchObject([{ ok: true }, { ok: true }, { ok: true }]);
	expect(entered).toEqual([1, 2, 3]);
	send(envelope(4));
	expect(entered).toEqual([1, 2, 3, 4]);
});

test("[P1] an answer that throws is an outcome that may have been accepted", () => {
	const { publisher } = world(() => {
		throw new Error("a bug");
	});
	expect(publisher.accept(envelope(1))).toMatchObject({ ok: false, uncertain: true });
});

test("[P6] the bounds hold for it too", () => {
	const { publisher } = world(() => TAKEN);
	const large = publisher.accept(envelope(1, "x".repeat(130 * 1024)));
	expect(large).toMatchObject({ ok: false, uncertain: false, error: { code: "PayloadTooLarge" } });
	publisher.close();
	expect(publisher.accept(envelope(2))).toMatchObject({ ok: false, error: { code: "Closed" } });
});
