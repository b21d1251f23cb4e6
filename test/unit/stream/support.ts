/** What the stream tests share: a feed that the test scripts, envelopes, and a wire that records. */
import { type Channel, createChannel } from "../../../lambda/layer/src/core/channel.ts";
import type { Feed, FeedRequest, OpenFeed, Sink } from "../../../lambda/layer/src/core/client-feed.ts";
import type { Envelope } from "../../../lambda/layer/src/core/envelope.ts";
import { createIds } from "../../../lambda/layer/src/core/ids.ts";
import type { Message } from "../../../lambda/layer/src/core/message.ts";
import type { HubStream } from "../../../lambda/layer/src/stream/client-stream.ts";
import { sseEncoding } from "../../../lambda/layer/src/stream/frames.ts";
import { createHub, type Hub } from "../../../lambda/layer/src/stream/hub.ts";
import type { StreamLimits, StreamOptions } from "../../../lambda/layer/src/stream/port.ts";
import type { Wire } from "../../../lambda/layer/src/stream/wire.ts";
import { createFakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";
import { createFill } from "../../../lambda/layer/src/testing/seeded.ts";

export const NEWS = createChannel("topic", "news");
export const OTHER = createChannel("topic", "other");

let made = 0;

export function envelopeOf(message: Message, channel: Channel = NEWS): Envelope {
	made += 1;
	const id = `00000000-0000-7000-8000-${made.toString(16).padStart(12, "0")}`;
	return { v: 1, id, channel, message, publishedAt: 0, origin: "test", lanes: ["local"] };
}

export function progress(n: number, text = ""): Envelope {
	return envelopeOf({ jsonrpc: "2.0", method: "notifications/progress", params: { n, text } });
}

export function updated(uri: string, n = 0): Envelope {
	return envelopeOf({ jsonrpc: "2.0", method: "notifications/resources/updated", params: { uri, n } });
}

export interface ScriptedFeed {
	readonly request: FeedRequest;
	readonly sink: Sink;
	readonly added: Channel[];
	readonly removed: Channel[];
	readonly early: Envelope[];
	closes: number;
}

/** Feeds that do nothing by themselves: the test speaks to their sinks. Each opens with the cursor `c0`. */
export function scriptFeeds(options: { opened?: () => Promise<void>; onOpen?: (request: FeedRequest) => void } = {}) {
	const feeds: ScriptedFeed[] = [];
	const openFeed: OpenFeed = (request, sink): Feed => {
		options.onOpen?.(request);
		const script: ScriptedFeed = { request, sink, added: [], removed: [], early: [], closes: 0 };
		feeds.push(script);
		sink.cursor("c0");
		return {
			opened: options.opened?.() ?? Promise.resolve(),
			cursor: "c0",
			add: async (channel) => void script.added.push(channel),
			remove: (channel) => void script.removed.push(channel),
			early: (envelope) => void script.early.push(envelope),
			close: () => {
				script.closes += 1;
			},
		};
	};
	return { feeds, openFeed };
}

export function testHub(limits: Partial<StreamLimits> = {}, script = scriptFeeds()) {
	const clock = createFakeClock();
	const hub = createHub({ openFeed: script.openFeed, clock, ids: createIds(clock, createFill(1)), limits });
	return { hub, clock, feeds: script.feeds };
}

/** Records what is handed over; pushes back while `isBlocked`. */
export class RecordingWire implements Wire {
	readonly writes: string[] = [];
	isBlocked = false;
	finished: string | undefined;
	isDestroyed = false;
	#pending = "";
	readonly #stream: HubStream;

	constructor(stream: HubStream) {
		this.#stream = stream;
	}

	get size(): number {
		return this.#pending.length;
	}

	get text(): string {
		return this.writes.join("");
	}

	start(): void {}

	append(frame: string): void {
		this.#pending += frame;
	}

	flush(): boolean {
		if (this.#pending !== "") this.writes.push(this.#pending);
		this.#pending = "";
		return !this.isBlocked;
	}

	beat(): void {
		this.#pending += ": hb\n\n";
	}

	finish(reason: string): void {
		this.finished = reason;
		if (!this.isBlocked) this.#stream.gone();
	}

	destroy(): void {
		this.isDestroyed = true;
	}
}

/** Opens a stream on a recording wire. */
export function openRecorded(hub: Hub, options: StreamOptions) {
	let wire: RecordingWire | undefined;
	const stream = hub.open(options, sseEncoding, (opened) => {
		wire = new RecordingWire(opened);
		return wire;
	});
	return { stream, wire: wire as RecordingWire };
}

export const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Polls a condition that another side makes true; the test's own timeout is its deadline. */
export async function until(holds: () => boolean): Promise<void> {
	while (!holds()) await new Promise<void>((resolve) => setTimeout(resolve, 5));
}

/** The numbers in `"n":…` of a text, in order. */
export function numbersIn(text: string): number[] {
	return [...text.matchAll(/"n":(\d+)/g)].map(([, n]) => Number(n));
}
