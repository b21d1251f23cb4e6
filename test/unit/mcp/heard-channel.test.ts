import { expect, test } from "vitest";
import { createChannel } from "../../../lambda/layer/src/core/channel.ts";
import type { Feed } from "../../../lambda/layer/src/core/client-feed.ts";
import { HeardChannel } from "../../../lambda/layer/src/mcp/heard-channel.ts";
import { createFakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";

test("[P3] a channel that ended is followed anew, and what comes until that stands is told as missed", async () => {
	const clock = createFakeClock();
	const standing: PromiseWithResolvers<void>[] = [];
	const heard = new HeardChannel(createChannel("principal", "ann"), {
		clock,
		transports: [],
		report: () => {},
		openFeed() {
			const opened = Promise.withResolvers<void>();
			standing.push(opened);
			return { opened: opened.promise, close() {} } as Feed;
		},
	});
	let missed = 0;
	const missing = () => {
		missed += 1;
	};
	heard.audience.add({ hear() {}, missed: missing }, undefined);
	standing[0]?.resolve();
	await heard.opened;
	heard.end();
	await clock.settle();
	// Whoever is told now would look again before what is missed has come.
	expect(missed).toBe(0);
	standing[1]?.resolve();
	await heard.opened;
	expect(missed).toBe(1);
	expect(heard.recent.hasSince("anything", clock.monotonic())).toBe(true);
	// One that ends before it stood tells nothing for itself; nor does one that is closed.
	heard.end();
	heard.end();
	standing[2]?.resolve();
	await clock.settle();
	expect(missed).toBe(1);
	standing[3]?.resolve();
	await heard.opened;
	expect(missed).toBe(2);
	heard.end();
	heard.close();
	standing[4]?.resolve();
	await clock.settle();
	expect(missed).toBe(2);
});
