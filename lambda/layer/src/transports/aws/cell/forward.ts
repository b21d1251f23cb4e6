/**
 * Forward: a session's messages that reached a region which is not, or no longer, its home go on to the home's
 * mailbox, where its followers are. A message carries the regions that it has been in: a mailbox that knows its id would
 * drop it silently, so it returns to one under another. It goes in no circle, for each home has a greater counter.
 */
import { createChannel, parseChannel } from "../../../core/channel.ts";
import { decodeEnvelope } from "../../../core/envelope.ts";
import { FanoutError } from "../../../core/errors.ts";
import { deriveId } from "../../../core/ids.ts";
import { formatPosition } from "../../../core/position.ts";
import type { Home } from "../home.ts";
import type { WireEntry } from "../wire.ts";
import { type MailboxMessage, mailboxMessage } from "./mailbox.ts";

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

/** The other region that is the home of the channel's session, if there is one. */
export async function homeElsewhere(ports: ForwardPorts, channelKey: string): Promise<string | undefined> {
	const session = sessionKeyOf(channelKey);
	if (session === undefined) return undefined;
	const home = await ports.home.look(session);
	return home === undefined || home.region === ports.region ? undefined : home.region;
}

/** What a gap row is sent on as: no envelope, so that the new home tells of a gap too. */
const LOST = "{}";

/**
 * Rows of this region's log for a session's new home. Not by the envelope's id: that mailbox may have had it and sent it
 * here, when this was the home. SQS would then drop it silently for five minutes; the log there knows what it holds.
 */
export function mailOfRows(region: string, channelKey: string, rows: readonly WireEntry[]): MailboxMessage[] {
	return rows.map(({ position, text }) => {
		const id = text === undefined ? formatPosition(position) : idOf(text);
		return mailboxMessage(channelKey, deriveId("moved", region, id), text ?? LOST, [region]);
	});
}

function idOf(text: string): string {
	try {
		return decodeEnvelope(text).id;
	} catch {
		return deriveId("forward", text); // written by a newer release: its new home tells a gap, once
	}
}

/**
 * Resolves once the region's mailbox has taken all of them, in order: one by one, since a batch may be refused in its
 * middle, and what came after that would stand in the lane before what is sent again. Nothing more is sent after an abort.
 */
export async function forward(
	ports: ForwardPorts,
	region: string,
	messages: readonly MailboxMessage[],
	signal?: AbortSignal,
): Promise<void> {
	for (const message of messages) {
		signal?.throwIfAborted();
		const refused = await ports.sendTo(region, [message]);
		if (refused.length > 0) {
			throw new FanoutError("TransportRefused", `the mailbox of ${region} refused a message`, { retryable: true });
		}
	}
}
