/**
 * The transport port. A transport owns its connections, carries envelopes between instances and keeps one ordered
 * log per channel, with positions. It owes: order within a lane, `ends` that are authoritative, an epoch that
 * changes when the log lost its past, and honesty in outcomes. It may lose, repeat or delay what `subscribe` hands
 * over: the delivery engine (one for all transports) finds holes, lost ends and repetitions, and repairs them with
 * `read` and `ends`. Client streams, queues, retries and home lanes are never a transport's business.
 */
import type { Channel } from "./channel.ts";
import type { Envelope } from "./envelope.ts";
import type { FanoutError } from "./errors.ts";
import type { Position } from "./position.ts";

export type Reach = "process" | "fleet" | "region" | "global";
export type Durability = "memory" | "replicated" | "disk";

export interface Entry {
	readonly position: Position;
	/** The position before this one in its lane, offset 0 for the first ever; absent when offsets are dense. */
	readonly prev?: Position;
	/** Absent for a place in the log whose message could not be decoded: streams are told `gap`. */
	readonly envelope?: Envelope;
}

/** The offset before an entry's in its lane. */
export function prevOffset(entry: Entry): number {
	return entry.prev?.offset ?? entry.position.offset - 1;
}

/** Where a read starts: after a position, or at the oldest entry no older than `sinceMs` (wall time). */
export interface Ask {
	readonly channel: Channel;
	readonly from: Position | { readonly sinceMs: number };
	/** Most entries in the page. */
	readonly limit: number;
}

/** `retention`: entries after `from` are gone. `epoch`: `from` belongs to another log; the page starts at the oldest. */
export type Verdict = "whole" | "retention" | "epoch";

export interface Page {
	readonly channel: Channel;
	readonly entries: readonly Entry[];
	readonly more: boolean;
	readonly verdict: Verdict;
	/**
	 * Where channels share their offsets: the log is the one of `from`, and it reaches at least this far, so a position
	 * up to here is this log's although the channel may have no entry there.
	 */
	readonly through?: Position;
	/** There too: after the entries of the page, or after `from`, the channel surely has nothing up to here. */
	readonly quiet?: Position;
}

export type Outcome =
	| {
			readonly ok: true;
			readonly position?: Position;
			readonly duplicate: boolean;
			readonly durability: Durability;
			readonly reach: Reach;
	  }
	| { readonly ok: false; readonly uncertain: boolean; readonly error: FanoutError };

export interface Capabilities {
	readonly reach: Reach;
	readonly replay: boolean;
	/** How long an id is remembered: a re-offer within it is refused as a duplicate. */
	readonly dedupMs: number;
	/** A lost end is found within this. */
	readonly endCheckMs: number;
	/** Channels in one question for ends, where what it costs is by partition: fewer would only ask more often. */
	readonly endsBatch?: number;
	/** How long the log keeps entries at the least, unless count-bounded. */
	readonly retentionMs: number;
	readonly batch: { readonly count: number; readonly bytes: number };
	readonly positionAtAccept: boolean;
	/** Largest encoded envelope, in bytes. */
	readonly maxPayloadBytes: number;
}

export type TransportEvent =
	| { readonly kind: "connected" | "disconnected"; readonly detail?: string }
	| { readonly kind: "error"; readonly error: FanoutError };

export interface TransportHost {
	report(event: TransportEvent): void;
}

export interface Subscriber {
	entry(entry: Entry): void;
	/** Something may be missing: after a reconnect, a nudge, a refused frame. `end` is given when known. */
	suspect(end?: Position): void;
	/** The lane cannot be followed here any longer: its client streams end with the reason. */
	ended(reason: "moved" | "expired" | "gap"): void;
}

export interface Subscription {
	/** The lane's authoritative end, read after the subscription stood. */
	readonly ready: Promise<Position>;
	/** Kept without the subscription: there may be very many. */
	close(this: void): void;
}

export interface Transport {
	/** The lane name in envelopes: `local`, `nats`, `redis`, `aws`. */
	readonly name: string;
	/** `name/instance` or `name/region`: where this process's lanes are. */
	readonly place: string;
	readonly capabilities: Capabilities;
	/** Validates and dials under the signal's deadline; subscriptions are possible when it resolves. */
	start(host: TransportHost, signal: AbortSignal): Promise<void>;
	/** Offers a batch of one channel, in order. Outcomes are of the same length; after a failure all the rest fail. */
	publish(
		channel: Channel,
		batch: readonly Envelope[],
		options: { readonly mayExist: boolean },
		signal: AbortSignal,
	): Promise<Outcome[]>;
	/** The same for one envelope that was never offered, answered in this turn: for a log in this very process. */
	accept?(envelope: Envelope): Outcome;
	/** At most one live subscription per channel: the engine sees to it. */
	subscribe(channel: Channel, subscriber: Subscriber): Subscription;
	/** A page for each ask: those of one channel in the order of its asks, others as they come. */
	read(asks: readonly Ask[], signal: AbortSignal): AsyncIterable<Page>;
	/**
	 * Authoritative, in the order of the channels: the newest entry ever, BEGINNING where the log does not exist yet; none
	 * where that part of the log does not answer and others do.
	 */
	ends(channels: readonly Channel[], signal: AbortSignal): Promise<(Position | undefined)[]>;
	/** Closes connections that no call uses now; the next call opens new ones. */
	rest?(): void;
	/** Idempotent; no timer, socket or listener stays. */
	close(): Promise<void>;
}
