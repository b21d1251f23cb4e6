/**
 * One wildcard subscription for every answer that is ours: acknowledgements, batches and questions. A waiter is a place
 * and a number in the reply subject; one timer looks after the deadlines of all of them. A lost connection fails all that
 * wait. Places are used again, and in no map: each answer would enter and leave it (publish/publisher.ts says what that
 * costs).
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
	readonly token: string;
	readonly waiter: Waiter;
	readonly deadline: number;
}

export function createInbox(nc: NatsConnection, base: string, clock: Clock): Inbox {
	const held: (Held | undefined)[] = [];
	const free: number[] = [];
	let count = 0;
	let sweeper: Timer | undefined;

	const subscription = nc.subscribe(`${base}.*`, {
		callback(error, msg) {
			if (error !== null) return;
			const token = msg.subject.slice(base.length + 1);
			// Another's, or one that has been answered: the place may have somebody else by now.
			const found = held[placeOf(token)];
			if (found?.token === token && found.waiter.message(msg)) release(token);
		},
	});

	const placeOf = (token: string): number => Number.parseInt(token, 36);
	const waiting = (): number => held.length - free.length;

	function release(token: string): void {
		const place = placeOf(token);
		if (held[place]?.token !== token) return;
		held[place] = undefined;
		free.push(place);
	}

	function sweep(): void {
		sweeper = undefined;
		const now = clock.monotonic();
		for (const one of held) {
			if (one === undefined || one.deadline > now) continue;
			release(one.token);
			one.waiter.failed("timeout");
		}
		arm();
	}

	function arm(): void {
		if (waiting() > 0) sweeper ??= clock.after(SWEEP_MS, sweep);
	}

	function failAll(reason: "disconnected" | "closed"): void {
		const all = held.filter((one) => one !== undefined);
		for (const { token } of all) release(token);
		for (const { waiter } of all) waiter.failed(reason);
	}

	function expect(waiter: Waiter, timeoutMs: number): string {
		const place = free.pop() ?? held.length;
		// A number ends where the dash is.
		const token = `${place.toString(36)}-${(count++).toString(36)}`;
		held[place] = { token, waiter, deadline: clock.monotonic() + timeoutMs };
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
				release(reply.slice(base.length + 1));
				waiter.failed(nc.isClosed() ? "closed" : "disconnected", cause);
			}
		},
		get waiting() {
			return waiting();
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
