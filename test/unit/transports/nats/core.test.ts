import { expect, test } from "vitest";
import { createFakeClock } from "../../../../lambda/layer/src/testing/fake-clock.ts";
import type { NatsConnection } from "../../../../lambda/layer/src/transports/nats/client.ts";
import { createCore } from "../../../../lambda/layer/src/transports/nats/core.ts";
import { resolveNatsOptions } from "../../../../lambda/layer/src/transports/nats/options.ts";
import { envelopeOf, topic } from "../../../support/nats-fleet.ts";

function world() {
	const clock = createFakeClock();
	const did: string[] = [];
	const publish = (subject: string) => void did.push(subject.slice(0, subject.indexOf(".")));
	const flush = async () => void did.push("flush");
	let epochs = 7;
	const deps = { settings: resolveNatsOptions({ jetstream: false }), clock, random32: () => epochs++, report() {} };
	const core = createCore({ ...deps, nc: { publish, flush } as unknown as NatsConnection });
	const { signal } = new AbortController();
	const send = (id: string) => core.publish(topic(id), [envelopeOf(topic(id), 1)], false, signal);
	return { clock, core, did, send };
}

test("[P1] one question to the server answers for all that was published before it", async () => {
	const { clock, did, send } = world();
	const sent = [send("a"), send("b")];
	await clock.settle();
	sent.push(send("c"));
	await clock.advance(1);
	const outcomes = (await Promise.all(sent)).flat();
	expect(outcomes.map(({ ok }) => ok)).toEqual([true, true, true]);
	expect(did).toEqual(["fanout-live", "fanout-live", "fanout-live", "flush"]);
});

test("[P1] an answer on another connection than the message went out on accepts nothing", async () => {
	const { clock, core, send } = world();
	const sent = send("a");
	core.disconnected();
	await clock.advance(1);
	expect(await sent).toMatchObject([{ ok: false, uncertain: true, error: { code: "TransportUnavailable" } }]);
});
