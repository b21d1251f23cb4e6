/**
 * One 2026-07-28 listen: the SDK opens it, acknowledges it and ends it; from the acknowledgement on, changes go to the
 * client from here, since the SDK's own stream would queue without a bound for a client that does not read. At most
 * MAX_FRAMES wait in the body; beyond that the last change of each key waits here, and earlier ones of it go (P6).
 * An acknowledgement that cannot be read leaves delivery to the SDK's listener.
 */
import { type Ack, readAck } from "./ack.ts";
import type { Ear, Filter } from "./audience.ts";
import { Change, keyOf, keyOfUri, type ServerEvent } from "./change.ts";
import { FrameBody, type FrameHost, FrameStream } from "./frame-body.ts";

/** Changes that wait for the acknowledgement; beyond it the listen counts as having missed some. */
export const MAX_UNACKED = 1_000;

export interface ListenHost {
	/** What the listen asked for is known from here on. */
	acknowledged(listen: Listen, filter: Filter | undefined): void;
	/** The body has ended, whoever ended it. */
	closed(listen: Listen): void;
	report(error: unknown): void;
}

export class Listen implements Ear, FrameHost {
	readonly #host: ListenHost;
	readonly #fallback: (event: ServerEvent) => void;
	#ack: Ack | "none" | undefined;
	#pending: Map<string, Change> | undefined;
	#hasMissed = false;
	/** Keys that were told since the acknowledgement, until the listen has caught up. */
	#told: Set<string> | undefined = new Set();
	#body: FrameBody | undefined;
	#reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
	#closed = false;

	constructor(host: ListenHost, fallback: (event: ServerEvent) => void) {
		this.#host = host;
		this.#fallback = fallback;
	}

	hear(change: Change): void {
		if (this.#closed) return;
		const ack = this.#ack;
		if (ack !== undefined) this.#told?.add(change.key);
		if (ack === "none") {
			try {
				this.#fallback(change.event);
			} catch (error) {
				this.#host.report(error);
			}
			return;
		}
		const body = this.#body;
		if (ack === undefined || body === undefined) this.#wait(change, MAX_UNACKED);
		else if (this.#pending === undefined && body.hasRoom) body.push(change.frame(ack.id));
		else this.#wait(change);
	}

	missed(): void {
		if (this.#ack === undefined) this.#hasMissed = true;
		else if (this.#ack !== "none") this.tellAll(this.#ack.filter);
	}

	/** An invalidation of everything that the filter names. */
	tellAll({ kinds, uris }: Filter): void {
		for (const kind of kinds) this.hear(new Change({ kind }));
		for (const uri of uris) this.hear(new Change({ kind: "resource_updated", uri }));
	}

	/** What changed before the listen was there, less what it was told since. */
	catchUp({ kinds, uris }: Filter): void {
		const told = this.#told;
		this.#told = undefined;
		this.tellAll({
			kinds: kinds.filter((kind) => told?.has(keyOf({ kind })) !== true),
			uris: uris.filter((uri) => told?.has(keyOfUri(uri)) !== true),
		});
	}

	/** The body that goes to the client in the place of the SDK's. */
	carry(source: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
		this.#reader = source.getReader();
		this.#body = new FrameBody(this);
		this.#next();
		return new FrameStream(this.#body);
	}

	refill(): void {
		const ack = this.#ack;
		const body = this.#body;
		if (this.#pending === undefined || body === undefined || ack === undefined || ack === "none") return;
		for (const [key, change] of this.#pending) {
			if (!body.hasRoom) return;
			this.#pending.delete(key);
			body.push(change.frame(ack.id));
		}
		this.#pending = undefined;
	}

	cancel(reason: unknown): Promise<void> | undefined {
		this.#close();
		return this.#reader?.cancel(reason);
	}

	/** Ends the body without a result: a client that sees none listens again. */
	drop(): void {
		if (this.#closed) return;
		this.#close();
		this.#body?.end();
		this.#reader?.cancel().catch((error) => this.#host.report(error));
	}

	#close(): void {
		if (this.#closed) return;
		this.#closed = true;
		this.#pending = undefined;
		this.#host.closed(this);
	}

	#wait(change: Change, max = Number.POSITIVE_INFINITY): void {
		this.#pending ??= new Map();
		// The last of a key is kept, at its own place: what stood between is not overtaken.
		this.#pending.delete(change.key);
		this.#pending.set(change.key, change);
		if (this.#pending.size <= max) return;
		this.#pending = undefined;
		this.#hasMissed = true;
	}

	#next(): void {
		this.#reader?.read().then(
			({ done, value }) => {
				if (this.#closed) return;
				if (done) {
					this.#close();
					this.#body?.end();
					return;
				}
				this.#pass(value);
				this.#next();
			},
			(error) => {
				if (this.#closed) return;
				this.#close();
				this.#body?.fail(error);
			},
		);
	}

	#pass(chunk: Uint8Array): void {
		const body = this.#body as FrameBody;
		if (this.#ack === undefined) {
			body.push(textOf(chunk));
			this.#acknowledge(readAck(chunk) ?? "none");
			return;
		}
		// A comment keeps a connection alive; one that has frames waiting needs none.
		const isComment = chunk[0] === 0x3a;
		if (!isComment || body.hasRoom) body.push(textOf(chunk));
	}

	#acknowledge(ack: Ack | "none"): void {
		this.#ack = ack;
		const early = [...(this.#pending?.values() ?? [])];
		this.#pending = undefined;
		const filter = ack === "none" ? undefined : ack.filter;
		this.#host.acknowledged(this, filter);
		if (this.#hasMissed && filter !== undefined) this.tellAll(filter);
		for (const change of early) if (filter === undefined || asksFor(filter, change)) this.hear(change);
	}
}

/** A character for each byte. */
function textOf({ buffer, byteOffset, byteLength }: Uint8Array): string {
	return Buffer.from(buffer, byteOffset, byteLength).toString("latin1");
}

function asksFor({ kinds, uris }: Filter, { event }: Change): boolean {
	return event.kind === "resource_updated" ? uris.includes(event.uri) : kinds.includes(event.kind);
}
