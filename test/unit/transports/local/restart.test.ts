/** One instance resumes its clients across a restart: the whole fanout over one SQLite file. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createFanout, type Fanout } from "../../../../lambda/layer/src/fanout.ts";

let folder: string;
beforeAll(() => {
	folder = mkdtempSync(join(tmpdir(), "fanout-restart-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Reads SSE events from a response until `count` of them carried data. */
async function readEvents(response: Response, count: number) {
	const reader = (response.body as ReadableStream<Uint8Array>).getReader();
	const decoder = new TextDecoder();
	let text = "";
	let lastId = "";
	let events: unknown[] = [];
	while (events.length < count) {
		const { value, done } = await reader.read();
		if (done) throw new Error(`the stream ended after ${events.length} events: ${text}`);
		text += decoder.decode(value, { stream: true });
		const whole = text.slice(0, text.lastIndexOf("\n\n") + 2);
		lastId =
			whole
				.match(/^id: ?(.*)$/gm)
				?.at(-1)
				?.replace(/^id: ?/, "") ?? lastId;
		events = Array.from(whole.matchAll(/^data: ?(\{.*)$/gm), ([, data]) => JSON.parse(data as string));
	}
	return { events: events as { params?: { n?: number } }[], lastId, text, cancel: () => reader.cancel() };
}

async function open(fanout: Fanout, lastEventId?: string): Promise<Response> {
	const headers: Record<string, string> = lastEventId === undefined ? {} : { "last-event-id": lastEventId };
	const opened = Promise.withResolvers<void>();
	const response = fanout.response(new Request("http://localhost/events", { headers }), {
		topics: ["news"],
		onStream: (stream) => stream.opened.then(opened.resolve, opened.reject),
	});
	await opened.promise;
	return response;
}

const say = (fanout: Fanout, n: number) =>
	fanout.to({ topic: "news" }).send({ method: "notifications/message", params: { n } });

test("[P3] [P4] a client that was cut by the restart gets what it missed, in order, once", async () => {
	const file = join(folder, "fanout.db");
	const before = await createFanout({ local: { file } });
	const first = await open(before);
	for (const n of [1, 2]) await say(before, n);
	const { events, lastId } = await readEvents(first, 2);
	expect(events.map(({ params }) => params?.n)).toEqual([1, 2]);
	for (const n of [3, 4]) await say(before, n);
	await before.close();

	const after = await createFanout({ local: { file } });
	await say(after, 5);
	const resumed = await readEvents(await open(after, lastId), 3);
	expect(resumed.events.map(({ params }) => params?.n)).toEqual([3, 4, 5]);
	expect(resumed.text).not.toMatch(/"reason"|event: (gap|mark|end)/);
	await resumed.cancel();
	await after.close();
});
