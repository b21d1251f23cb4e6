/**
 * Typed events of the core on `node:diagnostics_channel`, one channel each, `mcp-fanout:<name>`. Adapters (logs,
 * metrics, traces) subscribe; nothing here costs when nobody does. Ids, counts, codes and durations only (P10).
 */
import { channel } from "node:diagnostics_channel";
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
