/**
 * GET streams of sessions in this process. The newest of a session wins wherever it is: its number is in the session's
 * record, and the process that held the one before is told. None is refused because another stands. A GET needs no
 * server here: what servers say comes by the session's channel. Without a cursor it starts at the record's floor.
 */
import type { Channel } from "../../core/channel.ts";
import { at } from "../../core/clock.ts";
import { decodeCursor } from "../../core/cursor.ts";
import { asFanoutError } from "../../core/errors.ts";
import { isLeaseOver } from "../../core/lease.ts";
import { hasPriming } from "../../core/session-client.ts";
import type { Listening } from "./ear.ts";
import type { SessionFacts } from "./facts.ts";
import type { SessionHost, StreamFilter, StreamHandle } from "./host.ts";
import type { Looks } from "./looks.ts";
import type { Peers } from "./peers.ts";
import { refuseForNow, sessionNotFound } from "./refusal.ts";
import { spellFor } from "./spelling.ts";
import type { SessionStore, StoredSession } from "./store.ts";

/** How long a client shall wait before it comes back: the SDK's own first delay. */
export const DEFAULT_RETRY_MS = 1_000;
/** Publishers' clocks may lag behind the one that dated the session: nothing of its first seconds may be held back. */
const CLOCK_SLACK_MS = 10_000;

/**
 * Where the record cannot be reached a stream stands this far behind the number last known, before the next; what ends
 * others so, after it. No other end than those: a word may wait for the broker, and a newer stream stand by then.
 */
const UNNUMBERED = 0.5;
const AFTER_UNNUMBERED = 0.75;

export interface GetDeps {
	readonly host: SessionHost;
	readonly store: SessionStore;
	looks(): Looks;
	peers(): Peers;
	readonly retryMs: number;
	readonly coalesce: boolean;
}

export interface GetRequest {
	readonly request: Request;
	/** The session's own first. */
	readonly channels: readonly [Channel, ...Channel[]];
	readonly principal: string | undefined;
	/** What this process knows of the session while the registry cannot be reached. */
	readonly known: StoredSession | undefined;
	/** When the authorisation ends, and the stream with it. */
	readonly expiresAtMs: number | undefined;
}

interface Slot {
	readonly channel: Channel;
	/** 0 until the record has given it a number. */
	n: number;
	/** The newest of the session that was told of. */
	newest: number;
	facts: SessionFacts | undefined;
	stream: StreamHandle | undefined;
	isEnded: boolean;
	/** To be told of its end, and of what its client subscribes to. */
	readonly listening: Listening;
}

export class Gets {
	readonly #deps: GetDeps;
	readonly #slots = new Map<string, Set<Slot>>();

	constructor(deps: GetDeps) {
		this.#deps = deps;
	}

	/** Sessions that are heard here. */
	channels(): Channel[] {
		return [...this.#slots.values()].flatMap((slots) => [...slots].slice(0, 1).map(({ channel }) => channel));
	}

	has(channel: Channel): boolean {
		return this.#slots.has(channel.key);
	}

	/** What its streams here go by. */
	factsOf({ key }: Channel): SessionFacts | undefined {
		return [...(this.#slots.get(key) ?? [])][0]?.facts;
	}

	async open({ request, channels, principal, known, expiresAtMs }: GetRequest): Promise<Response> {
		const [channel] = channels;
		const listening = await this.#deps.peers().listen();
		const fresh = { n: 0, newest: 0, facts: undefined, stream: undefined, isEnded: false };
		const slot: Slot = { channel, ...fresh, listening };
		this.#add(slot);
		const stored = await this.#takeOver(slot, request, principal, known);
		if (stored instanceof Response) {
			this.#remove(slot);
			return stored;
		}
		const { facts } = stored;
		// A change that came while the record was written may be newer than what was written.
		if (slot.facts !== undefined) this.#lookUp(channel);
		slot.facts = facts;
		try {
			return this.#stream(slot, request, channels, stored, expiresAtMs);
		} catch (error) {
			this.#remove(slot);
			throw error;
		}
	}

	#stream(
		slot: Slot,
		request: Request,
		channels: readonly Channel[],
		{ channel, facts, createdAt }: StoredSession,
		expiresAtMs: number | undefined,
	): Response {
		const lastEventId = request.headers.get("last-event-id") ?? "";
		return this.#deps.host.openStream(request, {
			channels,
			lastEventId: lastEventId === "" ? facts.get.floor : lastEventId,
			sinceMs: createdAt - CLOCK_SLACK_MS,
			filter: filterOf(facts),
			cursorFrames: hasPriming(facts.protocol),
			retryMs: this.#deps.retryMs,
			coalesce: this.#deps.coalesce,
			spelling: spellFor(() => slot.facts ?? facts),
			headers: { "mcp-session-id": channel.id },
			onStream: (stream) => {
				slot.stream = stream;
				const expire = () => this.#end(slot);
				const expiry = expiresAtMs === undefined ? undefined : at(this.#deps.host.clock, expiresAtMs, expire);
				stream.closed.then(() => {
					expiry?.cancel();
					this.#remove(slot);
				});
				if (slot.isEnded || slot.newest > slot.n) stream.close();
			},
		});
	}

	endBefore(channel: Channel, n: number): void {
		for (const slot of this.#slots.get(channel.key) ?? []) {
			slot.newest = Math.max(slot.newest, n);
			// One without a number yet looks when it has one.
			if (slot.n > 0 && slot.n < n) this.#end(slot);
		}
	}

	end(channel: Channel): void {
		for (const slot of this.#slots.get(channel.key) ?? []) this.#end(slot);
	}

	/** Everywhere, those that stand now: their clients come back with their cursors. */
	async endEverywhere(channel: Channel, known: StoredSession | undefined): Promise<void> {
		let n = known?.facts.get.n ?? 0;
		try {
			n = (await this.#deps.looks().look(channel))?.facts.get.n ?? n;
		} catch (error) {
			this.#untold(error);
		}
		this.endBefore(channel, n + AFTER_UNNUMBERED);
		this.#deps.peers().tellAll({ kind: "get", session: channel, n: n + AFTER_UNNUMBERED });
	}

	/** What the record says now. */
	refresh({ channel, facts }: StoredSession): void {
		for (const slot of this.#slots.get(channel.key) ?? []) {
			slot.facts = facts;
			slot.stream?.update({ filter: filterOf(facts) }).catch((error) => {
				if (!slot.isEnded) this.#deps.host.report(asFanoutError(error, "InvalidFilter", "a GET stream's filter"));
			});
		}
		this.endBefore(channel, facts.get.n);
	}

	#lookUp(channel: Channel): void {
		this.#deps
			.looks()
			.look(channel)
			.then(
				(stored) => (stored === undefined ? this.end(channel) : this.refresh(stored)),
				(error) =>
					this.#deps.host.report(asFanoutError(error, "TransportUnavailable", "a session could not be looked up")),
			);
	}

	async #takeOver(
		slot: Slot,
		{ headers, signal }: Request,
		principal: string | undefined,
		known: StoredSession | undefined,
	): Promise<StoredSession | Response> {
		const { host, store, peers } = this.#deps;
		const { channel } = slot;
		const lastEventId = headers.get("last-event-id") ?? "";
		let before = known?.facts.get;
		let n = 0;
		let isForeign = false;
		let hasLeft = false;
		try {
			const stored = await store.amend(channel, (session) => {
				before = session.facts.get;
				isForeign = session.principal !== principal;
				// It would end the stream for which its client left it.
				hasLeft = signal.aborted && !isLeaseOver(signal.reason);
				if (isForeign || hasLeft) return undefined;
				const floor = isCursor(lastEventId) ? lastEventId : before.floor;
				// Its own: the record that comes back may have the numbers of others as well.
				n = before.n + 1;
				return { facts: { ...session.facts, get: { instance: host.instanceId, n, floor } } };
			});
			if (stored === undefined || isForeign) return sessionNotFound();
			if (hasLeft) return new Response(null, { status: 499 });
			slot.n = n;
			const holder = before?.instance ?? "";
			// Here too: one from before the holder's may stand that nobody could tell.
			this.endBefore(channel, n);
			if (holder !== host.instanceId && holder !== "") {
				const word = { kind: "get", session: channel, n } as const;
				peers()
					.tell(holder, word)
					.catch((error) => this.#untold(error));
			}
			return stored;
		} catch (error) {
			this.#untold(error);
			if (known === undefined) return refuseForNow("the session registry cannot be reached now: try again");
			// Without the record nobody knows its number: every other one ends, and whichever gets the next one ends this.
			const { n } = known.facts.get;
			slot.n = n + UNNUMBERED;
			for (const other of this.#slots.get(channel.key) ?? []) if (other !== slot) this.#end(other);
			peers().tellAll({ kind: "get", session: channel, n: n + AFTER_UNNUMBERED });
			return known;
		}
	}

	#untold(error: unknown): void {
		this.#deps.host.report(asFanoutError(error, "TransportUnavailable", "an older GET stream may go on"));
	}

	#end(slot: Slot): void {
		slot.isEnded = true;
		slot.stream?.close();
	}

	#add(slot: Slot): void {
		const slots = this.#slots.get(slot.channel.key) ?? new Set();
		this.#slots.set(slot.channel.key, slots.add(slot));
	}

	#remove(slot: Slot): void {
		const slots = this.#slots.get(slot.channel.key);
		slots?.delete(slot);
		slot.listening.stop();
		if (slots?.size === 0) this.#slots.delete(slot.channel.key);
	}
}

const filterOf = ({ uris, logLevel }: SessionFacts): StreamFilter => ({ uris, logLevel });

function isCursor(text: string): boolean {
	try {
		decodeCursor(text);
		return text !== "";
	} catch {
		// Not ours: the stream tells what that means, and the floor stays.
		return false;
	}
}
