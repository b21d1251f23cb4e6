/**
 * Forward: a session's messages that reached a region which is not, or no longer, its home go on to the home's
 * mailbox, where its followers are. A message carries the regions that it has been in; to one of them it goes under another
 * deduplication id, since that mailbox knows the first and would drop it silently. It ends: who sends one on has seen a
 * later claim than its own, and whoever made that claim has seen it too.
 */
import { createChannel, parseChannel } from "../../../core/channel.ts";
import { FanoutError } from "../../../core/errors.ts";
import { deriveId } from "../../../core/ids.ts";
import type { Home, HomeItem } from "../home.ts";
import { chunkMail, type MailboxMessage, mailBytes } from "./mailbox.ts";

export interface ForwardPorts {
	/** The own region. */
	readonly region: string;
	readonly home: Pick<Home, "look">;
	/** At most ten messages to a region's mailbox; returns the indexes that were not taken. */
	sendTo(region: string, messages: readonly MailboxMessage[]): Promise<readonly number[]>;
}

/** The session that a channel lives with: itself, or a POST stream's. */
export function sessionKeyOf(channelKey: string): string | undefined {
	const channel = parseChannel(channelKey);
	if (channel.kind === "session") return channel.key;
	if (channel.kind !== "post") return undefined;
	return createChannel("session", channel.id.slice(0, channel.id.lastIndexOf("/")), channel).key;
}

/** The home of the channel's session, if it has either. */
export async function homeFor(ports: ForwardPorts, channelKey: string): Promise<HomeItem | undefined> {
	const session = sessionKeyOf(channelKey);
	return session === undefined ? undefined : ports.home.look(session);
}

/** The deduplication id of what goes back to a region whose mailbox may know the message's own. */
export const returnId = (region: string, id: string): string => deriveId("moved", region, id);

/** Resolves once the region's mailbox has taken all of them, in order. */
export async function forward(ports: ForwardPorts, region: string, messages: readonly MailboxMessage[]): Promise<void> {
	for (const chunk of chunkMail(messages, mailBytes)) {
		const refused = await ports.sendTo(region, chunk);
		if (refused.length > 0) {
			throw new FanoutError("TransportRefused", `the mailbox of ${region} refused ${refused.length} messages`, {
				retryable: true,
			});
		}
	}
}
