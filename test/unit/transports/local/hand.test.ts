import { expect, test } from "vitest";
import { collect, numbers, started, topic } from "./support.ts";

const a = topic("a");

test("[P9] a transport that is closed hands nothing on, not even the rest of a batch", async () => {
	const { transport, send } = await started();
	const live = collect();
	const subscription = transport.subscribe(a, {
		...live,
		entry(entry) {
			live.entries.push(entry);
			void transport.close();
		},
	});
	await subscription.ready;
	expect((await send(a, 1, 2)).every(({ ok }) => ok)).toBe(true);
	expect(numbers(live.entries)).toEqual([1]);
	subscription.close();
});
