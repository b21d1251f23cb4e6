/**
 * The envelope that transports carry. `id` is a UUIDv7 (or derived from a source event) and the deduplication key.
 * `lanes` are the transports routed to, in order, fixed before the first publish and the same in every copy.
 * Readers learn a version one release before anyone writes it: add it to READ_VERSIONS first.
 */
import { type Channel, parseChannel } from "./channel.ts";
import { FanoutError } from "./errors.ts";
import { type Message, parseMessage } from "./message.ts";

export const WRITTEN_VERSION = 1;
export const READ_VERSIONS: readonly number[] = [1];

export interface Envelope {
	readonly v: number;
	readonly id: string;
	readonly channel: Channel;
	readonly message: Message;
	/** Milliseconds since 1970, by the publisher's clock. */
	readonly publishedAt: number;
	/** The publishing instance's id. */
	readonly origin: string;
	/** Names of the transports routed to, at most 8. */
	readonly lanes: readonly string[];
	/** W3C trace context, `traceparent`. */
	readonly trace?: string;
}

export const MAX_ENVELOPE_LANES = 8;
const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const TRACE = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

const messages = new WeakMap<Envelope, string>();
const envelopes = new WeakMap<Envelope, string>();

/** The message's JSON, made once per envelope object: what every wire and client stream shows. */
export function encodeMessage(envelope: Envelope): string {
	let text = messages.get(envelope);
	if (text === undefined) {
		// Two code points that are legal in JSON and that SQS refuses raw.
		text = JSON.stringify(envelope.message).replace(/[\ufffe\uffff]/g, (unit) =>
			unit === "\ufffe" ? "\\ufffe" : "\\uffff",
		);
		messages.set(envelope, text);
	}
	return text;
}

/** The message's JSON if it was made already: for those who keep no second copy of it. */
export function encodedMessage(envelope: Envelope): string | undefined {
	return messages.get(envelope);
}

/** JSON text, made once per envelope object however many transports and retries carry it. */
export function encodeEnvelope(envelope: Envelope): string {
	let text = envelopes.get(envelope);
	if (text === undefined) {
		const { message: _message, channel, ...fields } = envelope;
		text = `${JSON.stringify({ ...fields, channel: channel.key }).slice(0, -1)},"message":${encodeMessage(envelope)}}`;
		envelopes.set(envelope, text);
	}
	return text;
}

export function envelopeBytes(envelope: Envelope): number {
	return Buffer.byteLength(encodeEnvelope(envelope));
}

function invalid(what: string): FanoutError {
	return new FanoutError("InvalidEnvelope", what);
}

/** What a caller may choose of an envelope; throws InvalidEnvelope. */
export function checkNames(id: unknown, trace: unknown): asserts id is string {
	if (typeof id !== "string" || !ID.test(id)) throw invalid("an envelope's id is a lowercase UUID");
	if (trace !== undefined && (typeof trace !== "string" || !TRACE.test(trace))) throw invalid("trace is a traceparent");
}

/** Reads an envelope from a wire; throws InvalidEnvelope or UnknownEnvelopeVersion. Unknown fields are ignored. */
export function decodeEnvelope(text: string): Envelope {
	let raw: unknown;
	try {
		raw = JSON.parse(text);
	} catch {
		// Not as a cause: a JSON parser quotes what it could not read, and content is for no log (P10).
		throw invalid("an envelope is JSON");
	}
	return readEnvelope(raw);
}

/** The same for an envelope that is parsed already. */
export function readEnvelope(raw: unknown): Envelope {
	if (typeof raw !== "object" || raw === null) throw invalid("an envelope is a JSON object");
	const { v, id, channel, message, publishedAt, origin, lanes, trace } = raw as Record<string, unknown>;
	if (typeof v !== "number") throw invalid("an envelope has a version");
	if (!READ_VERSIONS.includes(v)) {
		throw new FanoutError(
			"UnknownEnvelopeVersion",
			`envelope version ${v}; this release reads ${READ_VERSIONS.join(", ")}`,
			{
				data: { version: v, readVersions: READ_VERSIONS },
			},
		);
	}
	checkNames(id, trace);
	if (typeof publishedAt !== "number" || !Number.isFinite(publishedAt)) throw invalid("publishedAt is in milliseconds");
	if (typeof origin !== "string" || origin.length > 128) throw invalid("origin is an instance id");
	if (!Array.isArray(lanes) || lanes.length > MAX_ENVELOPE_LANES || lanes.some((lane) => typeof lane !== "string")) {
		throw invalid(`lanes are at most ${MAX_ENVELOPE_LANES} transport names`);
	}
	const fields = { v, id, channel: parseChannel(channel), message: parseMessage(message), publishedAt, origin, lanes };
	return trace === undefined ? fields : { ...fields, trace: trace as string };
}
