/** One partition's ledger over a stream in memory, asked as the engine and its followers ask. */

import type { Subscriber } from "../../../../lambda/layer/src/core/transport.ts";
import { createFakeClock } from "../../../../lambda/layer/src/testing/fake-clock.ts";
import { createKnown, type Known, saw } from "../../../../lambda/layer/src/transports/nats/known.ts";
import { Ledger } from "../../../../lambda/layer/src/transports/nats/ledger.ts";
import { readPage } from "../../../../lambda/layer/src/transports/nats/read.ts";
import { topic } from "../../../support/nats-fleet.ts";
import { EPOCH_SUBJECT, FakeStream } from "./fake-stream.ts";

const NOBODY: Subscriber = { entry() {}, suspect() {}, ended() {} };
export const subjectOf = (id: string) => `p.test.0.topic.${id}`;
export const ids = (count: number) => Array.from({ length: count }, (_, index) => `c${index}`);

export function world(perChannel = 100) {
	const clock = createFakeClock();
	const stream = new FakeStream(clock);
	stream.limits.perChannel = perChannel;
	const partition = stream.partition();
	const followed = new Map<string, Known>();
	const { api, batchGet } = stream;
	const ledger = new Ledger({ partition, api, batchGet, clock, epochSubject: EPOCH_SUBJECT, followed });
	const addressOf = (id: string) => ({ partition: 0, idPrefix: id, log: subjectOf(id), live: `live.${id}` });
	const followAs = (id: string, subscriber: Subscriber) =>
		void followed.set(topic(id).key, createKnown(topic(id), addressOf(id), subscriber));
	const question = (id: string) => ({ key: topic(id).key, log: subjectOf(id) });
	const page = async (id: string, offset: number) => {
		const deps = { partition, batchGet };
		const known = (channel: { key: string }) => followed.get(channel.key);
		const from = { epoch: (await partition.inspect()).epoch, offset: offset };
		return readPage({ ...deps, known }, { channel: topic(id), from, limit: 10 }, addressOf(id));
	};
	return {
		...{ clock, stream, partition, followed },
		/** A copy of a message that was just stored comes live, and in its place. */
		hear(id: string) {
			const seq = stream.add(subjectOf(id));
			const known = followed.get(topic(id).key) as Known;
			saw(known, seq);
			known.heard = seq;
			ledger.heard.add(seq);
			return seq;
		},
		follow(...names: string[]) {
			for (const id of names) followAs(id, NOBODY);
		},
		followAs,
		async ends(...names: string[]) {
			const ends = await ledger.endsNow(names.map(question));
			return names.map((id) => Number(ends.get(topic(id).key)?.offset));
		},
		/** As the engine's regular check asks. */
		async check(...names: string[]) {
			const ends = await ledger.check(names.map(question), 100);
			return ends && names.map((_, index) => Number(ends[index]?.offset));
		},
		page,
		async verdict(id: string, offset: number) {
			const { verdict, entries } = await page(id, offset);
			return [verdict, ...entries.map(({ position, prev }) => `${prev?.offset}<${position.offset}`)];
		},
	};
}
