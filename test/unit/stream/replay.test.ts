/** A client that comes back to a long log, through the whole pipeline: it reads as fast as it can. */
import { expect, test } from "vitest";
import { createFanout } from "../../../lambda/layer/src/fanout.ts";
import { createFakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";
import { numbersIn } from "./support.ts";

test.each([
	["from memory", 90, 11_000, "x"],
	["from memory, in text that is longer when escaped", 90, 2_500, "ж"],
	["from the log, in pages that no queue could hold", 300, 30_000, "x"],
])("[P3] [P6] a resume %s is no slow consumer's, however large the messages", async (_what, count, length, letter) => {
	const fanout = await createFanout({
		local: { maxEventsPerChannel: 1_000 },
		publisher: { maxQueuedBytes: 2 ** 30 },
		streams: { maxQueuedBytes: 256 * 1024 },
	});
	try {
		const first = fanout.response(new Request("http://x/")).body?.getReader();
		const opening = new TextDecoder().decode((await first?.read())?.value);
		await first?.cancel();
		const cursor = /id: (\S+)/.exec(opening)?.[1] ?? "";
		for (let n = 0; n < count; n += 1) {
			await fanout.notify.resourceUpdated(letter.repeat(length));
			await fanout.to({ all: true }).send({ method: "notifications/message", params: { n } });
		}
		const headers = { "Last-Event-ID": cursor };
		const reader = fanout.response(new Request("http://x/", { headers })).body?.getReader();
		const text = new TextDecoder();
		let read = "";
		const isOver = () => numbersIn(read).length === count || read.includes("event: end");
		while (!isOver()) read += text.decode((await reader?.read())?.value, { stream: true });
		expect(/event: end\n.*/.exec(read)?.[0]).toBeUndefined();
		expect(numbersIn(read)).toEqual([...new Array(count).keys()]);
		expect(/event: mark/.exec(read)).toBeNull();
		await reader?.cancel();
	} finally {
		await fanout.close();
	}
});

test("[P3] a stream that shows little of a busy channel keeps its client's cursor near: it comes back to no loss that was none", async () => {
	const clock = createFakeClock();
	const fanout = await createFanout({ clock, local: { maxEventsPerChannel: 100 } });
	const text = new TextDecoder();
	const open = (cursor: string) => {
		const request = new Request("http://x/", { headers: { "Last-Event-ID": cursor } });
		const reader = fanout.response(request, { filter: { uris: ["mine"] } }).body?.getReader();
		return { reader, read: async () => text.decode((await reader?.read())?.value) };
	};
	const first = open("");
	let heard = await first.read();
	for (let n = 0; n < 101; n += 1) await fanout.notify.resourceUpdated("another's");
	const next = first.read();
	await clock.advance(15_000);
	heard += await next;
	await first.reader?.cancel();
	await fanout.notify.resourceUpdated("mine");
	const second = open([...heard.matchAll(/^id: (.+)$/gm)].at(-1)?.[1] ?? "");
	let read = "";
	while (!read.includes("mine")) read += await second.read();
	expect(read).not.toContain("event: mark");
	await second.reader?.cancel();
	await fanout.close();
});
