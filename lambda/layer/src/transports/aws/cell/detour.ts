/**
 * The detour of what cannot go on to its home, since that region is lost: by way of the relay's queue, later, back to
 * this mailbox, and so until it can. A FIFO queue looks for groups among its first 120,000 messages only, so what waits
 * for a lost region in the mailbox would in the end hold up every channel here. Order restarts behind it.
 * Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/avoid-backlog-with-the-same-message-group-id.html
 */
import type { Clock } from "../../../core/clock.ts";
import { FanoutError } from "../../../core/errors.ts";
import { chunkMail, type MailboxMessage, mailBytes } from "./mailbox.ts";

/** Receives, some minutes, after which a region that does not take a message counts as lost. */
export const DETOUR_RECEIVES = 8;
/** Longer than the mailbox remembers an id, by which it would drop what comes back. */
export const DETOUR_SECONDS = 6 * 60;
/** How long a region that counts as lost is not tried, and how long one failure is then enough. */
const LOST_MS = 30_000;
const SUSPECT_MS = 5 * 60_000;

export interface Detour {
	/** Nothing is sent there for the moment: another try would only take time from the others. */
	isLost(region: string): boolean;
	reached(region: string): void;
	/** It was tried for a message that has been received so often; answers whether it counts as lost. */
	missed(region: string, receives: number): boolean;
	/** Resolves once the messages are kept. */
	take(messages: readonly MailboxMessage[]): Promise<void>;
}

/** `send`: at most ten messages, to be shown after so many seconds; returns the indexes that were not taken. */
export function createDetour(
	clock: Clock,
	send: (messages: readonly MailboxMessage[], seconds: number) => Promise<readonly number[]>,
): Detour {
	const lostAt = new Map<string, number>();
	const wasLostWithin = (region: string, ms: number) =>
		clock.monotonic() - (lostAt.get(region) ?? Number.NEGATIVE_INFINITY) < ms;
	return {
		isLost: (region) => wasLostWithin(region, LOST_MS),
		reached: (region) => void lostAt.delete(region),
		missed(region, receives) {
			if (receives < DETOUR_RECEIVES && !wasLostWithin(region, SUSPECT_MS)) return false;
			lostAt.set(region, clock.monotonic());
			return true;
		},
		async take(messages) {
			for (const chunk of chunkMail(messages, mailBytes)) {
				const refused = await send(chunk, DETOUR_SECONDS);
				if (refused.length === 0) continue;
				throw new FanoutError("TransportRefused", `the relay's queue refused ${refused.length} messages`, {
					retryable: true,
				});
			}
		},
	};
}
