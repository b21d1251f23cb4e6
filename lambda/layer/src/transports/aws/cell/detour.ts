/**
 * The detour of what cannot go on to its home, since that region is lost: by way of the relay's queue, later, back to
 * this mailbox, and so until it can. A FIFO queue looks for groups among its first 120,000 messages only, so what waits
 * for a lost region in the mailbox would in the end hold up every channel here. Order restarts behind it.
 * Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/avoid-backlog-with-the-same-message-group-id.html
 */
import type { Clock } from "../../../core/clock.ts";
import { FanoutError } from "../../../core/errors.ts";
import { chunkMail, type MailboxMessage, mailBytes } from "./mailbox.ts";

/** Receives, some minutes, after which a message that cannot be sent on makes the detour. */
export const DETOUR_RECEIVES = 8;
/** Longer than the mailbox remembers an id, by which it would drop what comes back. */
export const DETOUR_SECONDS = 6 * 60;
/** How long a region counts as lost before it is tried again. */
const LOST_MS = 30_000;

export interface Detour {
	/** Nothing is sent there for the moment: another try would only take time from the others. */
	isLost(region: string): boolean;
	/** The region was not reached again. Resolves once the messages are kept. */
	take(region: string, messages: readonly MailboxMessage[]): Promise<void>;
}

/** `send`: at most ten messages, to be shown after so many seconds; returns the indexes that were not taken. */
export function createDetour(
	clock: Clock,
	send: (messages: readonly MailboxMessage[], seconds: number) => Promise<readonly number[]>,
): Detour {
	const lostUntil = new Map<string, number>();
	return {
		isLost: (region) => clock.monotonic() < (lostUntil.get(region) ?? 0),
		async take(region, messages) {
			lostUntil.set(region, clock.monotonic() + LOST_MS);
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
