/**
 * The bounds of what is kept for one lane that refused, over all of its channels. The envelopes themselves stay where
 * their order is: in their channels' queues. What finds no room, gets too old or is refused for good is counted and
 * told. With a file, what was kept when the process ends is offered again by the next one; without, it is lost, and told.
 */
import type { Clock } from "../core/clock.ts";
import { encodeEnvelope } from "../core/envelope.ts";
import { FanoutError } from "../core/errors.ts";
import type { Item } from "./item.ts";
import type { OutboxFile } from "./outbox-file.ts";

export interface OutboxLimits {
	readonly maxEnvelopes: number;
	readonly maxBytes: number;
	readonly maxAgeMs: number;
}

export interface OutboxState {
	readonly envelopes: number;
	readonly bytes: number;
	/** Since the start: kept and then lost; and refused because there was no room. */
	readonly dropped: number;
	readonly overflowed: number;
	/** With a file: whether it has all of it. */
	readonly file?: "ok" | "failed";
}

export interface OutboxDeps {
	readonly lane: string;
	readonly clock: Clock;
	readonly limits: OutboxLimits;
	readonly file?: OutboxFile | undefined;
	/** Told of what was kept and is lost: with a count, at most once a second. */
	report(error: FanoutError): void;
}

const TELL_EVERY_MS = 1_000;

export class Outbox {
	readonly #deps: OutboxDeps;
	#envelopes = 0;
	#bytes = 0;
	#dropped = 0;
	#overflowed = 0;
	#told = 0;
	/** Why the last one was lost that was not told yet. */
	#cause: FanoutError | undefined;
	#isTelling = false;
	#isClosed = false;
	#toldAt = Number.NEGATIVE_INFINITY;

	constructor(deps: OutboxDeps) {
		this.#deps = deps;
	}

	get state(): OutboxState {
		return {
			envelopes: this.#envelopes,
			bytes: this.#bytes,
			dropped: this.#dropped,
			overflowed: this.#overflowed,
			...(this.#deps.file && { file: this.#deps.file.state }),
		};
	}

	get maxAgeMs(): number {
		return this.#deps.limits.maxAgeMs;
	}

	/** Takes room; false when there is none. */
	keep(item: Item): boolean {
		const { lane, clock, file } = this.#deps;
		if (!this.#hasRoom(item)) {
			this.#overflowed += 1;
			return false;
		}
		this.#envelopes += 1;
		this.#bytes += item.bytes;
		if (file !== undefined && item.row === undefined) {
			item.row = file.put(lane, clock.now() - (clock.monotonic() - item.since), encodeEnvelope(item.envelope));
		}
		return true;
	}

	/** Takes room for one that another process kept; without room it is lost. */
	keepAgain(item: Item): boolean {
		this.#envelopes += 1;
		this.#bytes += item.bytes;
		const { maxEnvelopes, maxBytes } = this.#deps.limits;
		if (this.#envelopes <= maxEnvelopes && this.#bytes <= maxBytes) return true;
		this.drop(item, new FanoutError("QueueFull", `at most ${maxEnvelopes} of ${maxBytes} bytes are kept`));
		return false;
	}

	#hasRoom({ bytes }: Item): boolean {
		const { maxEnvelopes, maxBytes } = this.#deps.limits;
		return this.#envelopes < maxEnvelopes && this.#bytes + bytes <= maxBytes;
	}

	/** What one that found no room is told, with why it would have been kept. */
	full(cause: FanoutError): FanoutError {
		const { lane, limits } = this.#deps;
		const message = `${this.#envelopes} envelopes of ${this.#bytes} bytes are queued for ${lane}; at most ${limits.maxEnvelopes} of ${limits.maxBytes} bytes are`;
		return new FanoutError("QueueFull", message, { cause, retryable: true, data: { lane, ...limits } });
	}

	/** The lane has it. */
	release(item: Item): void {
		this.#leave(item);
		if (item.row !== undefined) this.#deps.file?.remove(item.row);
	}

	#leave({ bytes }: Item): void {
		this.#envelopes -= 1;
		this.#bytes -= bytes;
		if (this.#envelopes === 0 && this.#cause !== undefined) this.#tellSoon();
	}

	/** It is lost: its caller was told `queued`, and is not there any more. After the close a file still has it. */
	drop(item: Item, cause: FanoutError): void {
		if (this.#isClosed && item.row !== undefined) {
			this.#leave(item);
			return;
		}
		this.lost(1, cause);
		this.release(item);
	}

	/** One of the file's cannot be read, or is too old. */
	discard(row: number, cause: FanoutError): void {
		this.#deps.file?.remove(row);
		this.lost(1, cause);
	}

	/** So many of what was kept earlier are lost. */
	lost(count: number, cause: FanoutError): void {
		this.#cause = cause;
		this.#dropped += count;
		this.#tellSoon();
	}

	/** Nothing is offered any more. */
	close(): void {
		this.#isClosed = true;
	}

	/** Once for all that are lost in one turn. */
	#tellSoon(): void {
		if (this.#isTelling) return;
		this.#isTelling = true;
		queueMicrotask(() => this.#tell());
	}

	#tell(): void {
		this.#isTelling = false;
		const now = this.#deps.clock.monotonic();
		const cause = this.#cause;
		if (cause === undefined || (now - this.#toldAt < TELL_EVERY_MS && this.#envelopes > 0)) return;
		const { lane, limits } = this.#deps;
		const dropped = this.#dropped - this.#told;
		this.#toldAt = now;
		this.#told = this.#dropped;
		this.#cause = undefined;
		const message = `${dropped} envelopes that were queued for ${lane} are lost: ${cause.message}`;
		this.#deps.report(new FanoutError(cause.code, message, { cause, data: { lane, dropped, ...limits } }));
	}
}
