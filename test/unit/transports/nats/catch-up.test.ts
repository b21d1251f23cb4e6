import { expect, test } from "vitest";
import { encodeEnvelope } from "../../../../lambda/layer/src/core/envelope.ts";
import type { Entry } from "../../../../lambda/layer/src/core/transport.ts";
import { catchUp } from "../../../../lambda/layer/src/transports/nats/catch-up.ts";
import { type Known, saw } from "../../../../lambda/layer/src/transports/nats/known.ts";
import { envelopeOf, numberOf, topic } from "../../../support/nats-fleet.ts";
import { EPOCH_SUBJECT, type FakeStream } from "./fake-stream.ts";
import { world as ledgerWorld, subjectOf } from "./ledger-world.ts";

/** Channels a and b are followed, and were verified up to the stream's end. */
async function world(perChannel = 100) {
	const { stream, partition, followed, followAs, ...ledger } = ledgerWorld(perChannel);
	const heard: string[] = [];
	for (const id of ["a", "b"]) {
		const entry = ({ envelope }: Entry) => void heard.push(`${id}${envelope && numberOf(envelope)}`);
		followAs(id, { entry, suspect() {}, ended() {} });
	}
	const ends = () => ledger.ends("a", "b");
	await ends();
	const deps = { partition, capture: "p.*.0.>", followed };
	return {
		...{ stream, partition, heard, ends, followed },
		publish: (id: string, n: number) => stream.add(subjectOf(id), encodeEnvelope(envelopeOf(topic(id), n))),
		catchUp: (get: FakeStream["batchGet"] = stream.batchGet) => catchUp({ ...deps, batchGet: get }),
		verified: () => [...followed.values()].map((known) => known.verified),
	};
}

test("[P3] what a partition took meanwhile is handed over in order, and all that is followed is verified up to there", async () => {
	const { stream, heard, publish, ends, verified, ...w } = await world();
	publish("a", 1);
	publish("loud", 1);
	const own = publish("a", 2);
	stream.add(subjectOf("loud"));
	await w.catchUp();
	expect(heard).toEqual(["a1", "a2"]);
	expect(verified()).toEqual([stream.last, stream.last]);
	// So there is nothing left to ask for any channel.
	stream.asked.length = 0;
	expect((await ends())[0]).toBe(own);
	expect(stream.asked.filter((what) => what !== "info" && !what.includes("epoch"))).toEqual([]);
	await w.catchUp();
	expect(heard).toEqual(["a1", "a2"]);
});

test("[P3] [P4] what was heard live is not handed over again; a channel that has not opened gets nothing, nor one that was let go", async () => {
	const { followed, heard, publish, ...w } = await world();
	const [a, b] = [...followed.values()] as [Known, Known];
	saw(a, publish("a", 1));
	publish("a", 2);
	const asked = w.stream.batchGet;
	Object.assign(b, { ready: false, verified: 0 });
	publish("b", 1);
	await w.catchUp();
	expect([heard, b.verified]).toEqual([["a2"], 0]);
	Object.assign(b, { ready: true, verified: a.verified });
	publish("b", 2);
	await w.catchUp(async (...request) => {
		followed.delete(topic("b").key);
		return asked(...request);
	});
	expect(heard).toEqual(["a2"]);
});

test("[P3] another log verifies nothing: neither one that was there already, nor one that came in the middle", async () => {
	for (const when of ["before", "between"]) {
		const { stream, heard, publish, ends, verified, ...w } = await world();
		const before = verified();
		publish("a", 1);
		const replace = () => {
			stream.lose();
			stream.add(EPOCH_SUBJECT, "e0000009");
			for (let n = 0; n < 9; n += 1) publish("loud", n);
		};
		if (when === "before") replace();
		await w.catchUp(async (...asked) => {
			const batch = await stream.batchGet(...asked);
			replace();
			await w.partition.inspect();
			return batch;
		});
		expect([heard, verified()]).toEqual([[], before]);
	}
});

test("[P3] too much, or what is gone in part, is left to the ends; so is what a replica does not have yet", async () => {
	const { stream, heard, publish, verified, ...w } = await world(5);
	const before = verified();
	for (let n = 0; n < 5; n += 1) publish("a", n);
	await w.catchUp();
	expect([heard, verified()]).toEqual([[], before]);

	const gone = await world();
	gone.publish("a", 1);
	gone.publish("a", 2);
	gone.stream.drop(gone.stream.kept.length - 1);
	gone.stream.add(EPOCH_SUBJECT, gone.partition.epoch);
	await gone.catchUp();
	expect(gone.heard).toEqual([]);

	const late = await world();
	const known = late.verified();
	late.publish("b", 1);
	late.stream.behind = 1;
	await late.catchUp();
	expect([late.heard, late.verified()]).toEqual([[], known]);
});
