/**
 * What the link knows of one followed channel: who follows it and whether it has stood yet. The first end resolves
 * `ready`, every later one is a `suspect`: something may have been posted to a connection that was already gone.
 */
import type { Channel } from "../../core/channel.ts";
import type { Clock } from "../../core/clock.ts";
import { FanoutError } from "../../core/errors.ts";
import type { Position } from "../../core/position.ts";
import type { Entry, Subscriber } from "../../core/transport.ts";

export interface Follower {
	readonly ready: Promise<Position>;
	/** It has stood: the session was this region's, and whoever claimed it later keeps it. */
	readonly hasStood: boolean;
	stands(end: Position): void;
	entries(entries: readonly Entry[]): FanoutError | undefined;
	/** The cell will not serve the channel. */
	refused(error: FanoutError): void;
	moved(): void;
	close(): void;
}

export function createFollower(
	channel: Channel,
	subscriber: Subscriber,
	clock: Clock,
	readyTimeoutMs: number,
): Follower {
	const { promise: ready, resolve, reject } = Promise.withResolvers<Position>();
	let pending = true;
	let hasStood = false;
	const settle = (act: () => void) => {
		pending = false;
		timer.cancel();
		act();
	};
	// The deadline ends the wait, not the subscription: when it stands later, the subscriber is told the end.
	const timer = clock.after(readyTimeoutMs, () =>
		settle(() =>
			reject(
				new FanoutError("DeadlineExceeded", `a subscription did not stand within ${readyTimeoutMs} ms`, {
					retryable: true,
					data: { timeoutMs: readyTimeoutMs },
				}),
			),
		),
	);
	// Whoever closes a subscription may no longer await `ready`; its rejection is still seen by those who do.
	ready.catch(() => undefined);
	return {
		ready,
		get hasStood() {
			return hasStood;
		},
		stands(end) {
			hasStood = true;
			if (pending) settle(() => resolve(end));
			else subscriber.suspect(end);
		},
		entries(entries) {
			let leak: FanoutError | undefined;
			for (const entry of entries) {
				if (entry.envelope === undefined || entry.envelope.channel.key === channel.key) subscriber.entry(entry);
				else {
					leak = new FanoutError("InvalidEnvelope", "a frame carried an envelope of another channel");
					const { envelope: _foreign, ...place } = entry;
					subscriber.entry(place);
				}
			}
			return leak;
		},
		refused(error) {
			if (pending) settle(() => reject(error));
			else subscriber.ended("gap");
		},
		moved() {
			if (pending) settle(() => reject(new FanoutError("TransportRefused", "the session moved to another region")));
			else subscriber.ended("moved");
		},
		close() {
			if (pending) settle(() => reject(new FanoutError("Closed", "the subscription was closed")));
		},
	};
}
