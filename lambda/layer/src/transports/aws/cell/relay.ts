/**
 * Relay: from a topic's copies (any region, any order, at least once) to this region's mailbox, where each channel
 * has one order and a repeated id is dropped. A version that this release cannot read is passed on: deliver tells
 * its followers of the gap. What names no channel at all, or one that no topic carries, goes to the error queue.
 */
import { type Channel, parseChannel } from "../../../core/channel.ts";
import { decodeEnvelope, type Envelope } from "../../../core/envelope.ts";
import { isFanoutError } from "../../../core/errors.ts";
import { deriveId } from "../../../core/ids.ts";
import { chunkMail, type MailboxMessage, mailBytes, mailboxMessage } from "./mailbox.ts";
import type { Reports } from "./poster.ts";

export interface RelayRecord {
	readonly messageId: string;
	readonly body: string;
	readonly channel: string | undefined;
}

export interface RelayPorts {
	/** Sends at most MAX_SEND_COUNT messages; returns the indexes that were not taken. */
	send(messages: readonly MailboxMessage[]): Promise<readonly number[]>;
	keepError(record: RelayRecord, code: string): Promise<void>;
	readonly report: Reports;
}

function readBody(body: string): Envelope | { readonly code: string } {
	try {
		return decodeEnvelope(body);
	} catch (error) {
		return { code: isFanoutError(error) ? error.code : "InvalidEnvelope" };
	}
}

/** What processes tell each other goes by their own region's mailbox: through a topic only somebody else would say it. */
function carried({ kind }: Channel): { readonly code: string } | undefined {
	return kind === "instance" ? { code: "InvalidChannel" } : undefined;
}

function messageOf(record: RelayRecord): MailboxMessage | { readonly code: string } {
	const read = readBody(record.body);
	if (!("code" in read)) return carried(read.channel) ?? mailboxMessage(read.channel.key, read.id, record.body);
	try {
		const channel = parseChannel(record.channel);
		// The same id for every copy of the same text, so that copies still fall together.
		return carried(channel) ?? mailboxMessage(channel.key, deriveId("relay", record.body), record.body);
	} catch {
		return read; // it names no channel: the code says why its body could not be read either
	}
}

/** The message ids that must come again. */
export async function relay(ports: RelayPorts, records: readonly RelayRecord[]): Promise<string[]> {
	const failed: string[] = [];
	const mail: { record: RelayRecord; message: MailboxMessage }[] = [];
	for (const record of records) {
		const message = messageOf(record);
		if ("MessageBody" in message) {
			mail.push({ record, message });
			continue;
		}
		ports.report("message cannot be relayed", { message: record.messageId, code: message.code });
		try {
			await ports.keepError(record, message.code);
		} catch (error) {
			ports.report("message was not copied", { message: record.messageId, error: String((error as Error).name) });
			failed.push(record.messageId);
		}
	}
	for (const chunk of chunkMail(mail, ({ message }) => mailBytes(message))) {
		let refused: readonly number[];
		try {
			refused = await ports.send(chunk.map(({ message }) => message));
		} catch (error) {
			ports.report("mailbox refused a batch", { messages: chunk.length, error: String((error as Error).name) });
			refused = chunk.map((_, index) => index);
		}
		for (const index of refused) failed.push((chunk[index] as (typeof chunk)[number]).record.messageId);
	}
	return failed;
}
