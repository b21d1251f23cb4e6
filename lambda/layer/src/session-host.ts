/** What MCP sessions get of the fanout: its registry, its channels and its client streams. */
import type { Channel } from "./core/channel.ts";
import type { Feed, FeedRequest, Sink } from "./core/client-feed.ts";
import type { Clock } from "./core/clock.ts";
import { emptySince, encodeLane, laneTag, NO_LANES, placeCode } from "./core/cursor.ts";
import { withDeadline } from "./core/deadline.ts";
import { asFanoutError, FanoutError } from "./core/errors.ts";
import type { Message } from "./core/message.ts";
import { BEGINNING, formatPosition, type Position, samePosition } from "./core/position.ts";
import type { Page, Transport } from "./core/transport.ts";
import type { Engine } from "./deliver/engine.ts";
import { openFeed } from "./deliver/feed.ts";
import type { ExchangedFeed } from "./deliver/joined-later.ts";
import type { Follow, Hold } from "./following.ts";
import type { Published, SessionHost } from "./mcp/session/host.ts";
import { controlTransport } from "./outgoing.ts";
import type { Sessions } from "./sessions/sessions.ts";
import type { Hub } from "./stream/hub.ts";
import { openResponse } from "./stream/response.ts";

const READ_TIMEOUT_MS = 5_000;
const PAGE_ENTRIES = 100;

export interface SessionHostParts {
	readonly namespace: string;
	readonly instanceId: string;
	readonly clock: Clock;
	readonly follow: Follow;
	hold(): Promise<Hold>;
	/** What is to be done before a freeze. */
	readonly settling: Set<() => Promise<void>>;
	readonly sessions: Sessions;
	/** Those that publish, and those that are followed; the same arrays for good. */
	readonly transports: readonly Transport[];
	readonly engines: readonly Engine[];
	/** Feeds that are told when transports are exchanged. */
	readonly feeds: Set<ExchangedFeed>;
	readonly hub: Hub;
	report(error: FanoutError): void;
	within<T>(tenant: string, task: () => T): T;
	publish(channel: Channel, message: Message): Promise<Published>;
}

export function createSessionHost(parts: SessionHostParts): SessionHost {
	const { namespace, instanceId, clock, follow, hold, settling, transports } = parts;
	const { sessions, engines, feeds, hub, report, within, publish } = parts;
	const feedDeps = { engines, clock, report, open: feeds };

	/** Control addresses are on one transport only. */
	function control(): Engine {
		const transport = controlTransport(engines.map((engine) => engine.transport));
		const found = engines.find((engine) => engine.transport === transport);
		if (found !== undefined) return found;
		throw new FanoutError("ConfigInvalid", "sessions need a process that follows: this fanout only publishes now");
	}

	/**
	 * Stays open while transports are exchanged, and when one ends it: no client would come back for it. What may have been
	 * missed meanwhile is told as a gap.
	 */
	function openControl(request: FeedRequest, sink: Sink): Feed {
		let isClosed = false;
		let engine = control();
		const lasting: Sink = {
			deliver: (envelope, cursor) => sink.deliver(envelope, cursor),
			mark: (reason, cursor) => sink.mark(reason, cursor),
			cursor: (cursor) => sink.cursor(cursor),
			end: () => again(),
		};
		const open = () => openFeed({ engines: [engine], clock, report }, request, lasting);
		let feed = open();
		const again = (): void => {
			if (isClosed) return;
			const before = feed;
			engine = control();
			feed = open();
			before.close();
			const opened = feed;
			opened.opened.then(
				() => {
					if (!isClosed && opened === feed) sink.mark("gap", feed.cursor);
				},
				(error) => report(asFanoutError(error, "TransportUnavailable", "a control address could not be followed")),
			);
		};
		const move = (): void => {
			if (control() !== engine) again();
		};
		const exchanged: ExchangedFeed = { follow: async () => move(), swapped: move, ended: move };
		feeds.add(exchanged);
		return {
			get opened() {
				return feed.opened;
			},
			get cursor() {
				return feed.cursor;
			},
			add: (channel) => feed.add(channel),
			remove: (channel) => feed.remove(channel),
			early: (envelope) => feed.early(envelope),
			close() {
				isClosed = true;
				feeds.delete(exchanged);
				feed.close();
			},
		};
	}

	return {
		namespace,
		instanceId,
		clock,
		follow,
		hold,
		onSettle(task) {
			settling.add(task);
			return () => void settling.delete(task);
		},
		report,
		within,
		registry: () => sessions.registry(),
		publish,
		async *readAfter(lane, channel, from) {
			const transport = engines.map((engine) => engine.transport).find(({ name }) => name === lane);
			if (transport === undefined) throw new FanoutError("InvalidCursor", "a log that this process does not follow");
			for (let after = from, more = true; more; ) {
				const page = await readPage(transport, channel, after, clock);
				more = page.more && page.entries.length > 0;
				for (const { position, envelope } of page.entries) {
					after = position;
					if (envelope !== undefined) yield { at: formatPosition(position), message: envelope.message };
				}
			}
		},
		openFeed(request, sink) {
			const isControl = request.channels.every(({ kind }) => kind === "instance");
			return isControl ? openControl(request, sink) : openFeed(feedDeps, request, sink);
		},
		openStream(request, { spelling, ...opening }) {
			return openResponse(hub, request, { ...opening, encoding: spelling });
		},
		async cursorOf(fresh, standing) {
			if (engines.length === 0) return cursorAtEnds(transports, fresh, standing, clock);
			const nothing = { deliver() {}, mark() {}, cursor() {}, end() {} };
			const feed = openFeed(feedDeps, { channels: standing }, nothing);
			try {
				const begins = engines.map(({ transport }) => beginningAt(transport, fresh, parts));
				const [lanes] = await Promise.all([Promise.all(begins), feed.opened]);
				return feed.cursor + lanes.join("");
			} finally {
				feed.close();
			}
		},
		cursorBefore(channel) {
			const since = emptySince(clock.now());
			const followed = engines.length === 0 ? transports : engines.map(({ transport }) => transport);
			const lanes = followed.map(({ place }) => encodeLane(laneTag(channel), placeCode(place), since));
			return NO_LANES + lanes.join("");
		},
	};
}

/**
 * A fresh channel's lane. Where its log has an epoch already the cursor names it: only so is it told when that log is
 * lost before the client comes. Where none can be had, nothing of the channel is skipped for that.
 */
async function beginningAt(
	transport: Transport,
	fresh: Channel,
	{ clock, report }: Pick<SessionHostParts, "clock" | "report">,
): Promise<string> {
	let end = BEGINNING;
	try {
		[end = BEGINNING] = await endsAt(transport, [fresh], clock);
	} catch (error) {
		report(asFanoutError(error, "TransportUnavailable", "where a session's log begins is not known", true));
	}
	return laneAt(transport, fresh, end, clock);
}

function laneAt({ place }: Transport, channel: Channel, end: Position, clock: Clock): string {
	const position = samePosition(end, BEGINNING) ? emptySince(clock.now()) : end;
	return encodeLane(laneTag(channel), placeCode(place), position);
}

function endsAt(transport: Transport, channels: readonly Channel[], clock: Clock): ReturnType<Transport["ends"]> {
	const what = `asking ${transport.place} where its logs end`;
	return withDeadline(clock, READ_TIMEOUT_MS, what, (signal) => transport.ends(channels, signal));
}

/** Where nothing is followed, what each log ends with is asked for. */
async function cursorAtEnds(
	transports: readonly Transport[],
	fresh: Channel,
	standing: readonly Channel[],
	clock: Clock,
): Promise<string> {
	const channels = [...standing, fresh];
	const lanes = transports.map(async (transport) => {
		const ends = await endsAt(transport, channels, clock);
		const parts = channels.map((channel, n) => {
			const end = ends[n];
			// A part of the log that does not answer: without its end the client would come back to its beginning.
			if (end === undefined) {
				const message = `${transport.place} did not say where one of its logs ends`;
				throw new FanoutError("TransportUnavailable", message, { retryable: true });
			}
			return laneAt(transport, channel, end, clock);
		});
		return parts.join("");
	});
	return NO_LANES + (await Promise.all(lanes)).join("");
}

async function readPage(transport: Transport, channel: Channel, from: Position, clock: Clock): Promise<Page> {
	const what = `reading a session's log at ${transport.place}`;
	return withDeadline(clock, READ_TIMEOUT_MS, what, async (signal) => {
		for await (const page of transport.read([{ channel, from, limit: PAGE_ENTRIES }], signal)) {
			if (page.verdict === "whole") return page;
			throw new FanoutError("InvalidCursor", `what was said after this is not kept whole (${page.verdict})`);
		}
		throw new FanoutError("TransportRefused", `${transport.place} gave no page`);
	});
}
