/**
 * Typed events of the core on `node:diagnostics_channel`, one channel each, `mcp-fanout:<name>`. Adapters (logs,
 * metrics, traces) subscribe; nothing here costs when nobody does. Ids, counts, codes and durations only (P10).
 */
import { channel, subscribe, unsubscribe } from "node:diagnostics_channel";
import type { Reason } from "../core/client-feed.ts";
import type { FanoutError } from "../core/errors.ts";

export interface FanoutEvents {
	/** A publish settled: accepted by so many lanes, queued for and refused by so many, after so long. */
	readonly publish: {
		readonly id: string;
		readonly kind: string;
		readonly accepted: number;
		readonly queued: number;
		readonly failed: number;
		readonly durationMs: number;
	};
	/**
	 * A client stream was shown an envelope, or the MCP listens of a channel were, once for all of them. The delay is since
	 * it was published, by the wall clocks of both ends; of a replay it says nothing of the way.
	 */
	readonly deliver: {
		readonly id: string;
		readonly kind: string;
		readonly isReplay: boolean;
		readonly delayMs: number;
		/** W3C `traceparent` of the publisher. */
		readonly trace?: string;
	};
	/** A client stream, or the MCP listens of a channel, were told that something is missing (P3). */
	readonly loss: { readonly reason: "gap" | "retention" | "epoch" };
	/** A client stream was let go. */
	readonly end: { readonly reason: Reason };
	/** Something failed and was handled; `stage` says where. */
	readonly error: { readonly stage: string; readonly error: FanoutError };
	/** The configuration was read again, and put in force unless it was refused or says what it said. Names of transports. */
	readonly reload: {
		readonly file: string;
		readonly outcome: "changed" | "unchanged" | "refused";
		readonly added: readonly string[];
		readonly removed: readonly string[];
		readonly replaced: readonly string[];
		readonly error?: FanoutError;
	};
	/** A lane's breaker changed its state. */
	readonly breaker: { readonly lane: string; readonly state: "closed" | "open" | "half-open" };
	readonly transport: { readonly name: string; readonly state: "starting" | "connected" | "disconnected" | "closed" };
}

const channels = {
	publish: channel("mcp-fanout:publish"),
	deliver: channel("mcp-fanout:deliver"),
	loss: channel("mcp-fanout:loss"),
	end: channel("mcp-fanout:end"),
	error: channel("mcp-fanout:error"),
	reload: channel("mcp-fanout:reload"),
	breaker: channel("mcp-fanout:breaker"),
	transport: channel("mcp-fanout:transport"),
};

/** Whether anyone listens: for what happens so often that making the event costs. */
export function isObserved(name: keyof FanoutEvents): boolean {
	return channels[name].hasSubscribers;
}

export function emit<Name extends keyof FanoutEvents>(name: Name, event: FanoutEvents[Name]): void {
	const to = channels[name];
	if (to.hasSubscribers) to.publish(event);
}

/**
 * Calls `hear` with each event of this process, whichever fanout it is of, until it is undone. Where it throws it has missed
 * that event, and the process is warned of it, the first time.
 */
export function listen<Name extends keyof FanoutEvents>(
	name: Name,
	hear: (event: FanoutEvents[Name]) => void,
): () => void {
	let isWarned = false;
	const listener = (event: unknown) => {
		try {
			hear(event as FanoutEvents[Name]);
		} catch (error) {
			// To the channel it would be an uncaught exception, which ends the process.
			if (!isWarned) process.emitWarning(`a listener of mcp-fanout:${name} threw: ${String(error)}`);
			isWarned = true;
		}
	};
	subscribe(`mcp-fanout:${name}`, listener);
	return () => void unsubscribe(`mcp-fanout:${name}`, listener);
}
