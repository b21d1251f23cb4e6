/**
 * A history checker: takes down what was sent, which client streams stood, and what each received over all its
 * reconnects; says afterwards which promises the history breaks. It knows nothing of transports.
 * - order (P2): one publisher's messages to one channel in call order; streams of one lane agree with one another.
 * - loss (P3): an accepted message sent after the stream stood never arrived. duplicate (P4): it arrived twice.
 * - leak (P5): a message of a channel that the stream does not follow, or of another namespace.
 * - invented: a message that nobody sent. told: the stream was told of a gap, which this history did not justify.
 */
export interface Sent {
	/** Unique in the whole history; travels in the message. */
	readonly id: string;
	readonly namespace: string;
	readonly channel: string;
	readonly publisher: string;
}

export interface HistoryStream {
	readonly id: string;
	readonly namespace: string;
	readonly channels: readonly string[];
	/** Where the lanes are that it reads: streams of the same channel and place must agree on the order. */
	readonly place: string;
}

export type FindingKind = "order" | "loss" | "duplicate" | "leak" | "invented" | "told";

export interface Finding {
	readonly kind: FindingKind;
	readonly stream: string;
	/** The message's id; absent for `told`. */
	readonly message?: string;
	readonly detail: string;
}

export interface History {
	opened(stream: HistoryStream): void;
	/** Before the call that publishes. */
	sent(message: Sent): void;
	/** The publisher was told that it is not accepted: it may arrive, and need not. */
	refused(id: string): void;
	received(stream: string, id: string): void;
	told(stream: string, reason: string): void;
	/** How many of the messages that must arrive somewhere have not, yet. */
	missing(): number;
	check(): Finding[];
}

interface Message extends Sent {
	readonly at: number;
	/** Among its publisher's messages to its channel. */
	readonly nth: number;
	refused: boolean;
}

interface Stream {
	readonly spec: HistoryStream;
	readonly openedAt: number;
	readonly got: string[];
	readonly seen: Set<string>;
	readonly told: string[];
}

export function createHistory(): History {
	let at = 0;
	const messages = new Map<string, Message>();
	const streams = new Map<string, Stream>();
	const counts = new Map<string, number>();

	const streamOf = (id: string): Stream => {
		const stream = streams.get(id);
		if (stream === undefined) throw new Error(`stream ${id} was never opened`);
		return stream;
	};
	const follows = (stream: Stream, message: Message) =>
		stream.spec.namespace === message.namespace && stream.spec.channels.includes(message.channel);
	const isDue = (stream: Stream, message: Message) =>
		!message.refused && message.at > stream.openedAt && follows(stream, message);
	const missingOf = (stream: Stream) =>
		[...messages.values()].filter((message) => isDue(stream, message) && !stream.seen.has(message.id));

	return {
		opened(spec) {
			if (streams.has(spec.id)) throw new Error(`stream ${spec.id} was opened before`);
			streams.set(spec.id, { spec, openedAt: at++, got: [], seen: new Set(), told: [] });
		},
		sent(message) {
			if (messages.has(message.id)) throw new Error(`message ${message.id} was sent before`);
			const line = JSON.stringify([message.namespace, message.channel, message.publisher]);
			const nth = counts.get(line) ?? 0;
			counts.set(line, nth + 1);
			messages.set(message.id, { ...message, at: at++, nth, refused: false });
		},
		refused(id) {
			const message = messages.get(id);
			if (message === undefined) throw new Error(`message ${id} was never sent`);
			message.refused = true;
		},
		received(id, messageId) {
			const stream = streamOf(id);
			stream.got.push(messageId);
			stream.seen.add(messageId);
		},
		told: (id, reason) => void streamOf(id).told.push(reason),
		missing: () => [...streams.values()].reduce((sum, stream) => sum + missingOf(stream).length, 0),
		check: () => [
			...[...streams.values()].flatMap((stream) => [
				...checkArrivals(stream, messages, follows),
				...checkPublisherOrder(stream, messages),
				...missingOf(stream).map((message) =>
					finding("loss", stream, message.id, `${message.id} of ${message.channel}`),
				),
			]),
			...checkLaneOrder([...streams.values()], messages),
		],
	};
}

function finding(kind: FindingKind, stream: Stream, message: string, detail = message): Finding {
	return { kind, stream: stream.spec.id, message, detail };
}

function checkArrivals(
	stream: Stream,
	messages: ReadonlyMap<string, Message>,
	follows: (stream: Stream, message: Message) => boolean,
): Finding[] {
	const found: Finding[] = stream.told.map((detail) => ({ kind: "told", stream: stream.spec.id, detail }));
	const seen = new Set<string>();
	for (const id of stream.got) {
		const message = messages.get(id);
		if (message === undefined) found.push(finding("invented", stream, id));
		else if (!follows(stream, message)) {
			const place = message.namespace === stream.spec.namespace ? "" : ` of namespace ${message.namespace}`;
			found.push(finding("leak", stream, id, `${id} of ${message.channel}${place}`));
		}
		if (seen.has(id)) found.push(finding("duplicate", stream, id));
		seen.add(id);
	}
	return found;
}

/** First arrivals only: a duplicate is its own finding. */
function firstArrivals(stream: Stream): string[] {
	return [...new Set(stream.got)];
}

function checkPublisherOrder(stream: Stream, messages: ReadonlyMap<string, Message>): Finding[] {
	const found: Finding[] = [];
	const last = new Map<string, Message>();
	for (const id of firstArrivals(stream)) {
		const message = messages.get(id);
		if (message === undefined) continue;
		const line = JSON.stringify([message.namespace, message.channel, message.publisher]);
		const before = last.get(line);
		if (before !== undefined && before.nth > message.nth) {
			found.push(finding("order", stream, id, `${id} after ${before.id}, both by ${message.publisher}`));
		}
		last.set(line, message);
	}
	return found;
}

function checkLaneOrder(streams: readonly Stream[], messages: ReadonlyMap<string, Message>): Finding[] {
	const found: Finding[] = [];
	const reference = new Map<string, { readonly by: Stream; readonly order: ReadonlyMap<string, number> }>();
	for (const stream of streams) {
		const lanes = Map.groupBy(firstArrivals(stream), (id) => {
			const message = messages.get(id);
			return JSON.stringify([message?.namespace, message?.channel, stream.spec.place]);
		});
		for (const [lane, ids] of lanes) {
			const other = reference.get(lane);
			if (other === undefined) {
				reference.set(lane, { by: stream, order: new Map(ids.map((id, index) => [id, index])) });
				continue;
			}
			const common = ids.filter((id) => other.order.has(id));
			for (const [index, id] of common.entries()) {
				const before = common[index - 1];
				if (before === undefined || (other.order.get(before) as number) < (other.order.get(id) as number)) continue;
				found.push(finding("order", stream, id, `${id} after ${before}, the other way round on ${other.by.spec.id}`));
			}
		}
	}
	return found;
}
