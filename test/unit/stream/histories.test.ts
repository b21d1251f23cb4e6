/** Histories found by review, each of which broke a promise once. */
import { expect, test } from "vitest";
import { sseEncoding } from "../../../lambda/layer/src/stream/frames.ts";
import { openResponse } from "../../../lambda/layer/src/stream/response.ts";
import { NEWS, OTHER, openRecorded, progress, RecordingWire, scriptFeeds, testHub } from "./support.ts";

test("[P9] a connection that is gone when its stream opens leaves no timer", async () => {
	const { hub, clock, feeds } = testHub();
	const wires: RecordingWire[] = [];
	hub.open({ channels: [NEWS] }, sseEncoding, (stream) => {
		const wire = new RecordingWire(stream);
		wire.start = () => stream.gone();
		wires.push(wire);
		return wire;
	});
	const aborted = new Request("http://localhost/", { signal: AbortSignal.abort() });
	openResponse(hub, aborted, { channels: [NEWS] });
	expect(hub.size).toBe(0);
	expect(feeds.map(({ closes }) => closes)).toEqual([1, 1]);
	expect(wires[0]?.text).toBe("");
	await clock.settle();
	expect(clock.waiting).toBe(0);
});

test("[P5] a channel removed while it is being added stays removed", async () => {
	const script = scriptFeeds();
	let added: () => void = () => {};
	const { hub } = testHub(
		{},
		{
			...script,
			openFeed: (request, sink) => ({
				...script.openFeed(request, sink),
				add: () =>
					new Promise<void>((resolve) => {
						added = resolve;
					}),
			}),
		},
	);
	const { stream } = openRecorded(hub, { channels: [NEWS] });
	const adding = stream.update({ add: [OTHER] });
	await stream.update({ remove: [OTHER] });
	added();
	await adding;
	hub.early({ ...progress(1), channel: OTHER });
	expect(script.feeds[0]?.early).toEqual([]);
});
