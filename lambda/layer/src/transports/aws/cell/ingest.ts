/**
 * Ingest: what an EventBridge rule made of an event becomes an envelope. Everything in it is hostile: the event's
 * author chose it. Its id is derived from the event's id and the channel, so that every retry is the same message.
 */
import { type Channel, createChannel } from "../../../core/channel.ts";
import type { Clock } from "../../../core/clock.ts";
import { type Envelope, envelopeBytes, WRITTEN_VERSION } from "../../../core/envelope.ts";
import { FanoutError } from "../../../core/errors.ts";
import { deriveId } from "../../../core/ids.ts";
import { parseNotification } from "../../../core/message.ts";
import { MAX_ENVELOPE_BYTES } from "./deliver.ts";

const MAX_EVENT_ID = 256;
const SESSION_NOTIFICATION = "Session Notification";

function invalid(what: string): FanoutError {
	return new FanoutError("InvalidMessage", what);
}

function fieldsOf(name: string, value: unknown): Record<string, unknown> {
	if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid(`${name} must be an object`);
	return value as Record<string, unknown>;
}

function channelOf(to: Record<string, unknown>, namespace: string): Channel {
	const targets = (["session", "principal", "topic", "all"] as const).filter((kind) => to[kind] !== undefined);
	const [kind] = targets;
	if (kind === undefined || targets.length > 1) throw invalid("to names one of session, principal, topic or all");
	const { tenant } = to;
	if (tenant !== undefined && typeof tenant !== "string") throw invalid("tenant must be a string");
	const scope = { namespace, ...(tenant === undefined ? {} : { tenant }) };
	if (kind !== "all") return createChannel(kind, to[kind] as string, scope);
	if (to.all !== true) throw invalid("all must be true");
	return createChannel("all", "", scope);
}

/**
 * A Session Notification of our own bus comes whole, since a transformer makes no JSON of a field that is absent: its
 * detail names the target beside method and params.
 */
function shapedOf(event: Record<string, unknown>): Record<string, unknown> {
	if (event["detail-type"] !== SESSION_NOTIFICATION) return event;
	const detail = fieldsOf("detail", event.detail);
	return { id: event.id, to: detail, method: detail.method, params: detail.params };
}

/** Validates an event from a rule; throws InvalidMessage, InvalidChannel or PayloadTooLarge. */
export function readEvent(
	event: unknown,
	{ namespace, origin, clock }: { readonly namespace: string; readonly origin: string; readonly clock: Clock },
): Envelope {
	const { id, to, method, params } = shapedOf(fieldsOf("the event", event));
	if (typeof id !== "string" || id === "" || id.length > MAX_EVENT_ID) throw invalid("the event has no id");
	if (typeof method !== "string" || !method.startsWith("notifications/")) {
		throw invalid("method must start with notifications/");
	}
	// A transformer turns an absent value into null or an empty text.
	const message = parseNotification(
		params === undefined || params === null || params === "" ? { method } : { method, params },
	);
	const channel = channelOf(fieldsOf("to", to), namespace);
	const envelope = {
		v: WRITTEN_VERSION,
		id: deriveId("eventbridge", id, channel.key),
		channel,
		message,
		publishedAt: clock.now(),
		origin,
		lanes: ["aws"],
	};
	const bytes = envelopeBytes(envelope);
	if (bytes > MAX_ENVELOPE_BYTES) {
		throw new FanoutError(
			"PayloadTooLarge",
			`the event makes ${bytes} bytes, at most ${MAX_ENVELOPE_BYTES} are accepted`,
			{
				data: { bytes, maxBytes: MAX_ENVELOPE_BYTES },
			},
		);
	}
	return envelope;
}
