/** Reads that share a request: what one part of the log costs the others. */
import { expect, test } from "vitest";
import { createChannel } from "../../../lambda/layer/src/core/channel.ts";
import { BEGINNING } from "../../../lambda/layer/src/core/position.ts";
import type { Ask, Page, Transport } from "../../../lambda/layer/src/core/transport.ts";
import { DEFAULT_READS, Reads } from "../../../lambda/layer/src/deliver/reads.ts";
import { createFakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";

function bench(answer: (ask: Ask) => Promise<void>) {
	const clock = createFakeClock();
	const requests: string[] = [];
	const transport = {
		place: "fake/here",
		async *read(asks: readonly Ask[]): AsyncIterable<Page> {
			requests.push(asks.map(({ channel }) => channel.id).join(" "));
			for (const ask of asks) {
				await answer(ask);
				yield { channel: ask.channel, entries: [], more: false, verdict: "whole" };
			}
		},
	} as Partial<Transport> as Transport;
	const reads = new Reads(transport, clock);
	const told: string[] = [];
	const ask = (...ids: string[]) => {
		for (const id of ids) {
			const page = reads.read({ channel: createChannel("topic", id), from: BEGINNING, limit: 1 });
			page.then(
				({ channel }) => told.push(channel.id),
				(error) => told.push(`${id}: ${error.code ?? error.message}`),
			);
		}
	};
	return { clock, reads, requests, told, ask };
}

test("[P7] a part of the log that fails, or does not answer, keeps no other from being read", async () => {
	const failing = bench(async ({ channel }) => {
		if (channel.id.startsWith("bad")) throw new Error("node");
	});
	failing.ask("a", "bad", "b", "bad2", "c");
	await failing.clock.settle();
	expect(failing.told.sort()).toEqual(["a", "b", "bad2: node", "bad: node", "c"]);

	const silent = bench(({ channel }) => (channel.id === "bad" ? new Promise(() => {}) : Promise.resolve()));
	silent.ask("a", "bad", "b", "c");
	await silent.clock.advance(DEFAULT_READS.timeoutMs);
	expect(silent.told.sort()).toEqual(["a", "b", "bad: DeadlineExceeded", "c"]);
	expect([failing.clock.waiting, silent.clock.waiting]).toEqual([0, 0]);
});

test("[P7] parts of the log that hang keep no turn: what others ask meanwhile is read", async () => {
	const { clock, told, ask } = bench(({ channel }) =>
		channel.id.startsWith("bad") ? new Promise(() => {}) : Promise.resolve(),
	);
	// As many as there are turns.
	for (let n = 0; n < DEFAULT_READS.concurrency; n += 1) {
		ask(`bad${n}`);
		await clock.settle();
	}
	ask("a");
	await clock.advance(DEFAULT_READS.slowMs);
	expect(told).toEqual(["a"]);
	await clock.advance(2 * DEFAULT_READS.timeoutMs);
	expect([told.length, clock.waiting]).toEqual([DEFAULT_READS.concurrency + 1, 0]);
});

test("[P6] [P9] a log that fails everyone is asked twice at the most for each, and never after the close", async () => {
	const { clock, reads, requests, told, ask } = bench(() => Promise.reject(new Error("down")));
	ask("a", "b", "c");
	await clock.settle();
	expect([requests, told.sort()]).toEqual([
		["a b c", "b", "c"],
		["a: down", "b: down", "c: down"],
	]);

	const silent = bench(() => new Promise(() => {}));
	silent.ask("a", "b", "c");
	await silent.clock.settle();
	silent.reads.close();
	silent.ask("d");
	await silent.clock.settle();
	expect([silent.requests, silent.told.length, silent.clock.waiting]).toEqual([["a b c"], 4, 0]);
	reads.close();
});
