/** An envelope on the wire is its JSON, one message each; what cannot be decoded is an entry without an envelope. */
import type { Channel } from "../../core/channel.ts";
import { decodeEnvelope, type Envelope } from "../../core/envelope.ts";
import { isFanoutError } from "../../core/errors.ts";
import { type Position, parsePosition } from "../../core/position.ts";
import type { Entry } from "../../core/transport.ts";

export function decode(channel: Channel, data: Uint8Array): Envelope | undefined {
	try {
		const text = Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString();
		const envelope = decodeEnvelope(text, channel);
		// Whoever may publish here may write anything: another channel's envelope is none of this one's.
		return envelope.channel === channel ? envelope : undefined;
	} catch (error) {
		if (isFanoutError(error)) return undefined;
		throw error;
	}
}

export function toEntry(channel: Channel, epoch: string, seq: number, prev: number, data: Uint8Array): Entry {
	const places = { position: { epoch, offset: seq }, prev: { epoch, offset: prev } };
	const envelope = decode(channel, data);
	return envelope === undefined ? places : { ...places, envelope };
}

/** What a nudge says about the end; a forged one only costs a look. */
export function nudgedEnd(text: string): Position | undefined {
	try {
		return parsePosition(text);
	} catch (error) {
		if (isFanoutError(error)) return undefined;
		throw error;
	}
}
