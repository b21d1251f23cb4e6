/**
 * A history checker: takes down what was sent, which client streams stood, and what each received over all its
 * reconnects; says afterwards which promises the history breaks. It knows nothing of transports.
 * Early copies are in nobody's order; one may come twice to a client that resumed before the other copy.
 * - order (P2): one publisher's messages to one channel in call order; streams of one lane agree with one another.
 * - loss (P3): an accepted message sent after the stream stood never arrived. duplicate (P4): it arrived twice.
 * - leak (P5): a message of a channel that the stream does not follow, or of another namespace.
 * - invented: a message that nobody sent. denied: it arrived though its publisher was told for certain that it will not.
 * - told: the stream was told of a gap, which nothing that happened under it justified. silent: it was not told though
 *   its log was lost. Who was told may miss what was sent before the loss, and nobody else may miss anything. A log that forgot its past
 *   forgot its ids too: what was offered again may come once more after the stream was told.
 */
import {
	about,
	checkArrivals,
	checkLaneOrder,
	checkPublisherOrder,
	type EraOf,
	finding,
	lineOf,
	type Message,
	type Stream,
} from "./history-checks.ts";

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

export type FindingKind = "order" | "loss" | "duplicate" | "leak" | "invented" | "denied" | "told" | "silent";

export interface Finding {
	readonly kind: FindingKind;
	readonly stream: string;
	/** The message's id; absent for `told` and `silent`. */
	readonly message?: string;
	readonly detail: string;
}

export interface History {
	opened(stream: HistoryStream): void;
	/** Before the call that publishes. */
	sent(message: Sent): void;
	/** Where there are several lanes: the one that streams show it from. There is no order across lanes. */
	homed(id: string, lane: string): void;
	/** The publisher was told that it is not accepted: it may arrive, and need not; it must not when that was certain. */
	refused(id: string, how?: "uncertain" | "certain"): void;
	/** `isEarly`: without a cursor, while its lane refused. */
	received(stream: string, id: string, isEarly?: boolean): void;
	/** The stream goes on over another connection. */
	resumed(stream: string): void;
	told(stream: string, reason: string): void;
	/** The logs lost their past just now: streams must be told, and may miss what was sent before. */
	lost(): void;
	/** A lane cannot be reached for a while: streams that open meanwhile may be told, and miss nothing. */
	mayTell(): void;
	/** They may be losing it, until what is returned is called: who is told may miss what was sent before that. */
	mayLose(): () => void;
	/**
	 * Something that no reader understands is put into this channel: its streams must be told, and miss nothing. Call
	 * what is returned when it was not accepted: then they may be told, and need not.
	 */
	unreadable(namespace: string, channel: string): () => void;
	/** How many of the messages that must arrive somewhere have not, yet. */
	missing(): number;
	/** How often streams were told of anything. */
	tells(): number;
	/** How many streams were not told, yet, of what they must be told. */
	untold(): number;
	check(): Finding[];
}

interface Loss {
	readonly at: number;
	/** What was sent up to here may be lost. */
	until: number;
	/** The channel's line; absent when all logs were lost. */
	readonly channel?: string;
	/** It may not have happened. */
	isDoubtful: boolean;
}

const NOTHING = -1;
const keyOf = (namespace: string, channel: string) => JSON.stringify([namespace, channel]);

export function createHistory(): History {
	let at = 0;
	const messages = new Map<string, Message>();
	const byChannel = new Map<string, Message[]>();
	const streams = new Map<string, Stream>();
	const counts = new Map<string, number>();
	const losses: Loss[] = [];

	const streamOf = (id: string): Stream => {
		const stream = streams.get(id);
		if (stream === undefined) throw new Error(`stream ${id} was never opened`);
		return stream;
	};
	const keysOf = ({ spec }: Stream) => spec.channels.map((channel) => keyOf(spec.namespace, channel));
	const follows = (stream: Stream, message: Message) =>
		stream.spec.namespace === message.namespace && stream.spec.channels.includes(message.channel);
	const concerns = ({ at: lostAt, channel }: Loss, stream: Stream) =>
		stream.openedAt < lostAt && (channel === undefined || keysOf(stream).includes(channel));
	/** Only what was under the loss: neither what came after it, nor what the stream had passed before it. */
	const isExcused = (stream: Stream, message: Message, passed: ReadonlyMap<string, Message[]>) =>
		losses.some((loss) => {
			if (loss.channel !== undefined || message.at > loss.until) return false;
			if (!stream.told.some((told) => told.at > loss.at)) return false;
			const later = (passed.get(lineOf(message)) ?? []).filter(({ nth }) => nth > message.nth);
			return !later.some(({ id }) => (stream.seen.get(id) as number) < loss.at);
		});
	const missingOf = (stream: Stream) => {
		const due = keysOf(stream).flatMap((key) =>
			(byChannel.get(key) ?? []).filter(
				(message) => message.refused === undefined && message.at > stream.openedAt && !stream.seen.has(message.id),
			),
		);
		if (due.length === 0 || losses.length === 0) return due;
		const passed = Map.groupBy(
			[...stream.seen.keys()].flatMap((id) => messages.get(id) ?? []),
			lineOf,
		);
		return due.filter((message) => !isExcused(stream, message, passed));
	};
	const untoldOf = (stream: Stream) =>
		losses.filter(
			(loss) => !loss.isDoubtful && concerns(loss, stream) && !stream.told.some((told) => told.at > loss.at),
		);
	/**
	 * How many times the logs were lost, as far as this stream knew at that time. Servers that replace one another may
	 * take each lane's past at another moment, and tell of each.
	 */
	const eraOf: EraOf = (stream, when) => {
		const told = stream.told.filter(({ at: toldAt }) => toldAt < when);
		const whole = losses.filter(({ channel, until }) => channel === undefined && until !== NOTHING);
		const known = whole.filter(({ isDoubtful, at: lostAt }) => !isDoubtful && told.some((one) => one.at > lostAt));
		const doubtful = told.filter((one) => whole.some(({ isDoubtful, at: lostAt }) => isDoubtful && one.at > lostAt));
		return known.length + doubtful.length;
	};
	const unjustified = (stream: Stream) =>
		stream.told.filter((told) => !losses.some((loss) => concerns(loss, stream) && loss.at < told.at));

	return {
		opened(spec) {
			if (streams.has(spec.id)) throw new Error(`stream ${spec.id} was opened before`);
			streams.set(spec.id, { spec, openedAt: at++, got: [], resumes: [], seen: new Map(), told: [] });
		},
		sent(sent) {
			if (messages.has(sent.id)) throw new Error(`message ${sent.id} was sent before`);
			const nth = counts.get(lineOf(sent)) ?? 0;
			counts.set(lineOf(sent), nth + 1);
			const message = { ...sent, at: at++, nth, refused: undefined, home: undefined };
			messages.set(sent.id, message);
			const key = keyOf(sent.namespace, sent.channel);
			const others = byChannel.get(key);
			if (others === undefined) byChannel.set(key, [message]);
			else others.push(message);
		},
		homed(id, lane) {
			const message = messages.get(id);
			if (message === undefined) throw new Error(`message ${id} was never sent`);
			message.home = lane;
		},
		refused(id, how = "uncertain") {
			const message = messages.get(id);
			if (message === undefined) throw new Error(`message ${id} was never sent`);
			message.refused = how;
		},
		received(id, messageId, isEarly = false) {
			const stream = streamOf(id);
			stream.got.push({ id: messageId, at, isEarly });
			if (!stream.seen.has(messageId)) stream.seen.set(messageId, at);
			at += 1;
		},
		told: (id, reason) => void streamOf(id).told.push({ at: at++, reason }),
		resumed: (id) => void streamOf(id).resumes.push(at++),
		lost: () => void losses.push({ at, until: at++, isDoubtful: false }),
		mayTell: () => void losses.push({ at: at++, until: NOTHING, isDoubtful: true }),
		mayLose() {
			const loss: Loss = { at: at++, until: Number.POSITIVE_INFINITY, isDoubtful: true };
			losses.push(loss);
			return () => {
				loss.until = at++;
			};
		},
		unreadable(namespace, channel) {
			const loss: Loss = { at, until: at++, channel: keyOf(namespace, channel), isDoubtful: false };
			losses.push(loss);
			return () => {
				loss.isDoubtful = true;
			};
		},
		missing: () => [...streams.values()].reduce((sum, stream) => sum + missingOf(stream).length, 0),
		tells: () => [...streams.values()].reduce((sum, { told }) => sum + told.length, 0),
		untold: () => [...streams.values()].filter((stream) => untoldOf(stream).length > 0).length,
		check: () => [
			...[...streams.values()].flatMap((stream) => [
				...unjustified(stream).map(({ reason }) => about("told", stream, reason)),
				...untoldOf(stream).map(({ channel }) => about("silent", stream, channel ?? "all logs were lost")),
				...checkArrivals(stream, messages, follows, eraOf),
				...checkPublisherOrder(stream, messages, eraOf),
				...missingOf(stream).map((message) =>
					finding("loss", stream, message.id, `${message.id} of ${message.channel}`),
				),
			]),
			...checkLaneOrder([...streams.values()], messages, eraOf),
		],
	};
}
