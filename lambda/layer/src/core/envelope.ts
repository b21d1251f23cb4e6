/**
 * The envelope that transports carry. `id` is a UUIDv7 (or derived from a source event) and the deduplication key.
 * `lanes` are the transports routed to, in order, fixed before the first publish and the same in every copy.
 * Readers learn a version one release before anyone writes it: add it to READ_VERSIONS first.
 */
import { isAscii, toAscii } from "./ascii.ts";
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

/**
 * An envelope that keeps its message's JSON: made when it is published, so that it is made once however many transports,
 * retries and client streams show it, and so that what a caller does to its own objects afterwards changes nothing.
 */
class SealedEnvelope implements Envelope {
	readonly v: number;
	readonly id: string;
	readonly channel: Channel;
	readonly message: Message;
	readonly publishedAt: number;
	readonly origin: string;
	readonly lanes: readonly string[];
	declare readonly trace?: string;
	readonly #json: string | undefined;
	readonly #isAscii: boolean;
	readonly #bytes: number;
	readonly #text: string | undefined;

	/** With its message's JSON; or with the text that it came as over a wire, and its message is seldom written again. */
	constructor(
		fields: Omit<Envelope, "channel" | "message">,
		channel: Channel,
		message: Message,
		bytes: number,
		json?: string,
		isAsciiJson = false,
		text?: string,
	) {
		this.v = fields.v;
		this.id = fields.id;
		this.channel = channel;
		this.message = message;
		this.publishedAt = fields.publishedAt;
		this.origin = fields.origin;
		this.lanes = fields.lanes;
		if (fields.trace !== undefined) this.trace = fields.trace;
		this.#json = json;
		this.#isAscii = isAsciiJson;
		this.#bytes = bytes;
		this.#text = text;
	}

	static jsonOf(envelope: Envelope): string | undefined {
		return #json in envelope ? envelope.#json : undefined;
	}

	static asciiOf(envelope: Envelope): string | undefined {
		return #json in envelope && envelope.#isAscii ? envelope.#json : undefined;
	}

	static bytesOf(envelope: Envelope): number | undefined {
		return #bytes in envelope ? envelope.#bytes : undefined;
	}

	static textOf(envelope: Envelope): string | undefined {
		return #text in envelope ? envelope.#text : undefined;
	}
}

/** Two code points that are legal in JSON and that SQS refuses raw. */
const UNSENDABLE = /[\ufffe\uffff]/;

function messageText(message: Message): string {
	const text = JSON.stringify(message);
	return isAscii(text) ? text : sendable(text);
}

function sendable(text: string): string {
	if (!UNSENDABLE.test(text)) return text;
	return text.replaceAll("\ufffe", "\\ufffe").replaceAll("\uffff", "\\uffff");
}

const PLAIN = /^[\w:/.%~*!'()-]*$/;

/** JSON in ASCII; ids and keys are nearly always plain. */
function quoted(text: string): string {
	return PLAIN.test(text) ? `"${text}"` : toAscii(JSON.stringify(text));
}

// All that a process publishes has one origin and few sets of lanes.
let lastOrigin: string | undefined;
let lastLanes: readonly string[] | undefined;
let lastRoute = "";

function routeText(origin: string, lanes: readonly string[]): string {
	if (origin === lastOrigin && lanes === lastLanes) return lastRoute;
	lastRoute = `"origin":${quoted(origin)},"lanes":[${lanes.map(quoted).join(",")}]`;
	lastOrigin = origin;
	lastLanes = lanes;
	return lastRoute;
}

/** Everything before the message; ASCII. An id and a key have nothing that JSON escapes: each is checked. */
function headText({ v, id, channel, publishedAt, origin, lanes, trace }: Envelope): string {
	const traced = trace === undefined ? "" : `,"trace":${quoted(trace)}`;
	return `{"v":${v},"id":"${id}","publishedAt":${publishedAt},${routeText(origin, lanes)}${traced},"channel":"${channel.key}","message":`;
}

const NOWHERE = { channel: { key: "" } as Channel, message: { jsonrpc: "2.0", method: "" } } as const;
const UNWRITTEN: Envelope = { v: WRITTEN_VERSION, id: "", ...NOWHERE, publishedAt: 0, origin: "", lanes: [] };
/** What every head has beside its id, time, route and key. */
const FRAME_LENGTH = headText(UNWRITTEN).length - 1 - routeText("", []).length;

/** The length of the head, worked out: to make it for that alone is a third of sealing. */
function headLength(envelope: Envelope): number {
	const { v, id, channel, publishedAt, origin, lanes, trace } = envelope;
	if (v !== WRITTEN_VERSION || trace !== undefined) return headText(envelope).length;
	// Thirteen until the year 2286; from a clock that is set wrong, or in fractions, whatever they are.
	const isUsual = publishedAt >= 1e12 && publishedAt < 1e13 && Number.isInteger(publishedAt);
	const digits = isUsual ? 13 : String(publishedAt).length;
	return FRAME_LENGTH + id.length + digits + routeText(origin, lanes).length + channel.key.length;
}

/** Makes the message's JSON and keeps it; throws InvalidMessage of a cycle or a BigInt. */
export function sealEnvelope(fields: Envelope): Envelope {
	const { channel, message } = fields;
	let json: string;
	try {
		json = JSON.stringify(message);
	} catch (cause) {
		throw new FanoutError("InvalidMessage", "params must be JSON: no cycles, no BigInt", { cause });
	}
	const isPlain = isAscii(json);
	if (!isPlain) json = sendable(json);
	const bytes = headLength(fields) + (isPlain ? json.length : Buffer.byteLength(json)) + 1;
	return new SealedEnvelope(fields, channel, message, bytes, json, isPlain);
}

/** What a log in memory keeps of an envelope: the message as text, which no one can change and a reader gets anew. */
export type PackedEnvelope = Omit<Envelope, "channel" | "message"> & { readonly json: string };

export function packEnvelope(envelope: Envelope): PackedEnvelope {
	const { v, id, publishedAt, origin, lanes, trace } = envelope;
	const packed = { v, id, publishedAt, origin, lanes, json: encodeMessage(envelope) };
	return trace === undefined ? packed : { ...packed, trace };
}

export function unpackEnvelope(packed: PackedEnvelope, channel: Channel, bytes: number): Envelope {
	return new SealedEnvelope(packed, channel, JSON.parse(packed.json), bytes, packed.json);
}

/** The message's JSON: what every wire and client stream shows. */
export function encodeMessage(envelope: Envelope): string {
	return SealedEnvelope.jsonOf(envelope) ?? messageText(envelope.message);
}

/** The same in ASCII. */
export function encodeMessageAscii(envelope: Envelope): string {
	return SealedEnvelope.asciiOf(envelope) ?? toAscii(encodeMessage(envelope));
}

/** JSON text; of one that came over a wire, as it came. */
export function encodeEnvelope(envelope: Envelope): string {
	return SealedEnvelope.textOf(envelope) ?? `${headText(envelope)}${encodeMessage(envelope)}}`;
}

/** Size of the JSON, in bytes. */
export function envelopeBytes(envelope: Envelope): number {
	return SealedEnvelope.bytesOf(envelope) ?? Buffer.byteLength(encodeEnvelope(envelope));
}

function invalid(what: string): FanoutError {
	return new FanoutError("InvalidEnvelope", what);
}

export const isTrace = (trace: unknown): trace is string => typeof trace === "string" && TRACE.test(trace);

/** What a caller may choose of an envelope; throws InvalidEnvelope. */
export function checkNames(id: unknown, trace: unknown): asserts id is string {
	if (typeof id !== "string" || !ID.test(id)) throw invalid("an envelope's id is a lowercase UUID");
	if (trace !== undefined && !isTrace(trace)) throw invalid("trace is a traceparent");
}

/**
 * Reads an envelope from a wire; throws InvalidEnvelope or UnknownEnvelopeVersion. Unknown fields are ignored. Who knows
 * whose it should be says so: it then has that very channel, unless it is another's.
 */
export function decodeEnvelope(text: string, expected?: Channel): Envelope {
	let raw: unknown;
	try {
		raw = JSON.parse(text);
	} catch {
		// Not as a cause: a JSON parser quotes what it could not read, and content is for no log (P10).
		throw invalid("an envelope is JSON");
	}
	const fields = readEnvelope(raw, expected);
	const bytes = Buffer.byteLength(text);
	return new SealedEnvelope(fields, fields.channel, fields.message, bytes, undefined, false, text);
}

/** The same for an envelope that is parsed already. */
export function readEnvelope(raw: unknown, expected?: Channel): Envelope {
	if (typeof raw !== "object" || raw === null) throw invalid("an envelope is a JSON object");
	const { v, id, channel: key, message, publishedAt, origin, lanes, trace } = raw as Record<string, unknown>;
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
	const channel = expected !== undefined && key === expected.key ? expected : parseChannel(key);
	const fields = { v, id, channel, message: parseMessage(message), publishedAt, origin, lanes };
	return trace === undefined ? fields : { ...fields, trace: trace as string };
}
