/**
 * Draining what an instance owns. Order: no new claims; streams end at their own pace, and a session whose last
 * stream ended is released at once, so that the instance its client comes back to need not wait; what is still
 * asked or streamed lives until `graceMs`; then the term is retired, which gives back all the rest by one write.
 */
import type { Channel } from "../core/channel.ts";
import type { Clock } from "../core/clock.ts";
import { withDeadline } from "../core/deadline.ts";
import { asFanoutError, type FanoutError } from "../core/errors.ts";
import type { Owner } from "./owner.ts";

/** Releases under way at once: a drain must not flood the store that others claim from. */
export const MAX_RELEASES = 64;
/** How much longer than its grace the ending of streams may take before leases go without it. */
export const DRAIN_SLACK_MS = 1_000;

export interface DrainOptions {
	readonly owner: Owner;
	readonly clock: Clock;
	readonly graceMs: number;
	/** Ends streams within the grace; calls `ended` for each session that has none left here. */
	endStreams(how: { readonly graceMs: number }, ended: (session: Channel) => void): Promise<void>;
	readonly onerror?: ((error: FanoutError) => void) | undefined;
}

export interface Drained {
	/** Sessions released one by one as their streams ended. */
	readonly released: number;
	/** Sessions given back with the term. */
	readonly retired: number;
}

export async function drainSessions({ owner, clock, graceMs, endStreams, onerror }: DrainOptions): Promise<Drained> {
	owner.refuse();
	// Bounded by what the owner holds: each session is once in it.
	const ready = new Map<string, Channel>();
	const underWay = new Set<Promise<void>>();
	let released = 0;
	let over = false;

	async function release(session: Channel): Promise<void> {
		const hold = owner.held(session);
		if (hold === undefined) return;
		try {
			await hold.release();
			released += 1;
		} catch (error) {
			// It stopped acting; the retired term lets others claim it.
			onerror?.(asFanoutError(error, "TransportUnavailable", "a session was not released", true));
		}
	}

	function pump(): void {
		for (const [key, session] of ready) {
			if (over || underWay.size >= MAX_RELEASES) return;
			ready.delete(key);
			const work: Promise<void> = release(session).finally(() => {
				underWay.delete(work);
				pump();
			});
			underWay.add(work);
		}
	}

	const ended = (session: Channel): void => {
		if (over || owner.held(session) === undefined) return;
		ready.set(session.key, session);
		pump();
	};
	try {
		const slack = graceMs + DRAIN_SLACK_MS;
		await withDeadline(clock, slack, "ending the streams of a drain", async () => endStreams({ graceMs }, ended));
	} catch (error) {
		onerror?.(asFanoutError(error, "TransportUnavailable", "streams did not end in a drain"));
	}
	over = true;
	const retired = owner.size;
	const retire = owner.retire();
	await Promise.all([...underWay, retire]);
	return { released, retired };
}
