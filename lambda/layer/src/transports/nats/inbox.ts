/**
 * One wildcard subscription for every answer that is ours: acknowledgements, batches and questions. A waiter is a number in the
 * reply subject; one timer looks after the deadlines of all of them. A lost connection fails all that wait.
 */
import type { Clock, Timer } from "../../core/clock.ts";
import type { Msg, MsgHdrs, NatsConnection } from "./client.ts";
import type { Silence } from "./failure.ts";

export interface Waiter {
	/** Returns true when this was the last message that it waits for. */
	message(msg: Msg): boolean;
	failed(reason: Silence, cause?: unknown): void;
}

export interface Inbox {
	/** The reply subject that leads to this waiter. */
	expect(waiter: Waiter, timeoutMs: number): string;
	/** Asks with a reply subject of its own; what cannot even be sent fails the waiter too. */
	ask(waiter: Waiter, timeoutMs: number, subject: string, payload: string, headers?: MsgHdrs): void;
	readonly waiting: number;
	failAll(reason: "disconnected" | "closed"): void;
	close(): void;
}

const SWEEP_MS = 50;

interface Held {
	readonly waiter: Waiter;
	readonly deadline: number;
}

export function createInbox(nc: NatsConnection, base: string, clock: Clock): Inbox {
	const held = new Map<string, Held>();
	let count = 0;
	let sweeper: Timer | undefined;

	const subscription = nc.subscribe(`${base}.*`, {
		callback(error, msg) {
			if (error !== null) return;
			const token = msg.subject.slice(base.length + 1);
			const found = held.get(token);
			if (found?.waiter.message(msg)) held.delete(token);
		},
	});

	function sweep(): void {
		sweeper = undefined;
		const now = clock.monotonic();
		for (const [token, { waiter, deadline }] of held) {
			if (deadline > now) continue;
			held.delete(token);
			waiter.failed("timeout");
		}
		arm();
	}

	function arm(): void {
		if (held.size > 0) sweeper ??= clock.after(SWEEP_MS, sweep);
	}

	function failAll(reason: "disconnected" | "closed"): void {
		const all = [...held.values()];
		held.clear();
		for (const { waiter } of all) waiter.failed(reason);
	}

	function expect(waiter: Waiter, timeoutMs: number): string {
		const token = (count++).toString(36);
		held.set(token, { waiter, deadline: clock.monotonic() + timeoutMs });
		arm();
		return `${base}.${token}`;
	}

	return {
		expect,
		ask(waiter, timeoutMs, subject, payload, headers) {
			const reply = expect(waiter, timeoutMs);
			try {
				nc.publish(subject, payload, headers === undefined ? { reply } : { reply, headers });
			} catch (cause) {
				held.delete(reply.slice(base.length + 1));
				waiter.failed(nc.isClosed() ? "closed" : "disconnected", cause);
			}
		},
		get waiting() {
			return held.size;
		},
		failAll,
		close() {
			sweeper?.cancel();
			sweeper = undefined;
			failAll("closed");
			subscription.unsubscribe();
		},
	};
}
