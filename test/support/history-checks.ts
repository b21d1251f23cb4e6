/** What the history checker finds in what streams received: the checks of order, duplicates and leaks. */
import type { Finding, FindingKind, HistoryStream, Sent } from "./history.ts";

export interface Message extends Sent {
	readonly at: number;
	/** Among its publisher's messages to its channel. */
	readonly nth: number;
	refused: "uncertain" | "certain" | undefined;
	/** Where there are several lanes; undefined when its publisher never said. */
	home: string | undefined;
}

export interface Arrival {
	readonly id: string;
	readonly at: number;
	/** A copy that stood in for one whose lane refused: out of the lane's order, and without a cursor. */
	readonly isEarly: boolean;
}

export interface Stream {
	readonly spec: HistoryStream;
	readonly openedAt: number;
	readonly got: Arrival[];
	/** When its connection was another one from. */
	readonly resumes: number[];
	/** When each message was received first. */
	readonly seen: Map<string, number>;
	readonly told: { readonly at: number; readonly reason: string }[];
}

export type EraOf = (stream: Stream, at: number) => number;

export const lineOf = ({ namespace, channel, publisher }: Sent) => JSON.stringify([namespace, channel, publisher]);

export function about(kind: FindingKind, stream: Stream, detail: string): Finding {
	return { kind, stream: stream.spec.id, detail };
}

export function finding(kind: FindingKind, stream: Stream, message: string, detail = message): Finding {
	return { kind, stream: stream.spec.id, message, detail };
}

export function checkArrivals(
	stream: Stream,
	messages: ReadonlyMap<string, Message>,
	follows: (stream: Stream, message: Message) => boolean,
	eraOf: EraOf,
): Finding[] {
	const found: Finding[] = [];
	const seen = new Map<string, Arrival>();
	for (const arrival of stream.got) {
		const { id, at } = arrival;
		const message = messages.get(id);
		if (message === undefined) found.push(finding("invented", stream, id));
		else if (!follows(stream, message)) {
			const place = message.namespace === stream.spec.namespace ? "" : ` of namespace ${message.namespace}`;
			found.push(finding("leak", stream, id, `${id} of ${message.channel}${place}`));
		}
		if (message?.refused === "certain") found.push(finding("denied", stream, id));
		const before = seen.get(id);
		if (before !== undefined && eraOf(stream, before.at) === eraOf(stream, at) && !isResumed(stream, before, at)) {
			found.push(finding("duplicate", stream, id));
		}
		seen.set(id, arrival);
	}
	return found;
}

/** The exception that P4 states: a client that came back between an early copy and the one on the home lane. */
function isResumed({ resumes }: Stream, before: Arrival, at: number): boolean {
	return before.isEarly && resumes.some((when) => when > before.at && when < at);
}

/** In the lane's order. First arrivals only: a duplicate is its own finding. Early copies are in nobody's order. */
function firstArrivals(stream: Stream): string[] {
	return [...new Set(stream.got.filter(({ isEarly }) => !isEarly).map(({ id }) => id))];
}

/**
 * Within an era: what was lost with a server may be there again when its publisher offered it again. What failed as
 * uncertain has no place to keep: the network may let it go when what was published after it has long been accepted.
 */
export function checkPublisherOrder(stream: Stream, messages: ReadonlyMap<string, Message>, eraOf: EraOf): Finding[] {
	const found: Finding[] = [];
	const last = new Map<string, Message>();
	for (const id of firstArrivals(stream)) {
		const message = messages.get(id);
		if (message === undefined || message.refused === "uncertain") continue;
		const line = `${eraOf(stream, stream.seen.get(id) as number)} ${message.home} ${lineOf(message)}`;
		const before = last.get(line);
		if (before !== undefined && before.nth > message.nth) {
			found.push(finding("order", stream, id, `${id} after ${before.id}, both by ${message.publisher}`));
		}
		last.set(line, message);
	}
	return found;
}

/** Within an era: what a lost log and the next one both held has a place in each. */
export function checkLaneOrder(
	streams: readonly Stream[],
	messages: ReadonlyMap<string, Message>,
	eraOf: EraOf,
): Finding[] {
	const found: Finding[] = [];
	const hasHomes = [...messages.values()].some(({ home }) => home !== undefined);
	const reference = new Map<string, { readonly by: Stream; readonly order: ReadonlyMap<string, number> }>();
	for (const stream of streams) {
		const lanes = Map.groupBy(firstArrivals(stream), (id) => {
			const message = messages.get(id);
			const era = eraOf(stream, stream.seen.get(id) as number);
			if (hasHomes && message?.home === undefined) return "unknown";
			return JSON.stringify([message?.namespace, message?.channel, message?.home, stream.spec.place, era]);
		});
		lanes.delete("unknown");
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
