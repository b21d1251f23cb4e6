import { expect, test } from "vitest";
import { createFakeClock } from "../../../../lambda/layer/src/testing/fake-clock.ts";
import type { NatsConnection } from "../../../../lambda/layer/src/transports/nats/client.ts";
import { createJetStream } from "../../../../lambda/layer/src/transports/nats/jetstream.ts";
import { resolveNatsOptions } from "../../../../lambda/layer/src/transports/nats/options.ts";
import { topic } from "../../../support/nats-fleet.ts";

/** A connection that says nothing. */
function world() {
	const clock = createFakeClock();
	const asked: string[] = [];
	const errors: string[] = [];
	const nc = {
		subscribe: () => ({ unsubscribe() {} }),
		publish: (subject: string) => void asked.push(subject),
		isClosed: () => false,
		getServer: () => "test",
	} as unknown as NatsConnection;
	let random = 7;
	const log = createJetStream({
		...{ nc, clock, settings: resolveNatsOptions({ partitions: 1 }), random32: () => random++ },
		report: (event) => void (event.kind === "error" && errors.push(event.error.message)),
	});
	return { ...{ clock, asked, errors, log } };
}

test("[P6] [P7] repairs that an outage interrupts are made after it, and not tried in it", async () => {
	const { clock, asked, errors, log } = world();
	log.subscribe(topic("a"), { entry() {}, suspect() {}, ended() {} });
	log.connected();
	await clock.advance(5_000);
	expect(errors.length).toBeGreaterThan(0);
	log.disconnected();
	await clock.settle();
	const [questions, told] = [asked.length, errors.length];
	await clock.advance(60_000);
	expect([asked.length, errors.length]).toEqual([questions, told]);
	expect(clock.waiting).toBe(0);
	log.connected();
	await clock.settle();
	expect(asked.length).toBeGreaterThan(questions);
	log.close();
});
