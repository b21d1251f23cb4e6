/**
 * The bounded queue of one client stream, there only while its connection takes nothing (or for one turn when the
 * stream coalesces). Coalescing keeps the LAST of the invalidations that say the same, at its own place, and drops
 * the earlier: moving the last cursor into the first place would skip what stands between.
 */
import type { Message } from "../core/message.ts";
import { RESOURCE_UPDATED } from "./filter.ts";

export interface QueuedFrame {
	/** A message's JSON, or the finished frame of anything else. */
	readonly text: string;
	readonly cursor: string | undefined;
	readonly isMessage: boolean;
}

/** What one entry costs beside its text: the cursor, the entry and its place. */
const ENTRY_BYTES = 128;
const LIST_CHANGED = /^notifications\/[^/]+\/list_changed$/;

/** The invalidation that a message is, if it is one: a later one with the same key says no less. */
export function invalidationKey(message: Message): string | undefined {
	if (!("method" in message) || "id" in message) return undefined;
	if (LIST_CHANGED.test(message.method)) return message.method;
	if (message.method !== RESOURCE_UPDATED || typeof message.params?.uri !== "string") return undefined;
	return `uri ${message.params.uri}`;
}

function costOf(frame: QueuedFrame): number {
	return frame.text.length + ENTRY_BYTES;
}

export class FrameQueue {
	// In insertion order. A number is a place of its own; a string is an invalidation's key.
	readonly #frames = new Map<string | number, QueuedFrame>();
	readonly #maxFrames: number;
	readonly #maxBytes: number;
	#next = 0;
	#bytes = 0;

	constructor(maxFrames: number, maxBytes: number) {
		this.#maxFrames = maxFrames;
		this.#maxBytes = maxBytes;
	}

	get size(): number {
		return this.#frames.size;
	}

	get bytes(): number {
		return this.#bytes;
	}

	/** False when a bound is reached; the queue is unchanged then but for what `key` replaces. One frame always fits. */
	push(frame: QueuedFrame, key?: string): boolean {
		if (key !== undefined) this.#drop(key);
		const cost = costOf(frame);
		const isFull = this.#frames.size >= this.#maxFrames || this.#bytes + cost > this.#maxBytes;
		if (isFull && this.#frames.size > 0) return false;
		if (key === undefined) this.#next += 1;
		this.#frames.set(key ?? this.#next, frame);
		this.#bytes += cost;
		return true;
	}

	/** Takes frames from the front for as long as `take` wants more. */
	drain(take: (frame: QueuedFrame) => boolean): void {
		for (const [key, frame] of this.#frames) {
			this.#drop(key);
			if (!take(frame)) return;
		}
	}

	#drop(key: string | number): void {
		const frame = this.#frames.get(key);
		if (frame === undefined) return;
		this.#frames.delete(key);
		this.#bytes -= costOf(frame);
	}
}
