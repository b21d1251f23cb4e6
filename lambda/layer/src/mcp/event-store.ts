/**
 * The SDK's `EventStore` over the fanout, for who keeps the SDK's own sessionful transport: what was said to a session
 * can be replayed by another process that has it. One store for one session: streams of different sessions are called
 * alike. Events are named by their place in the log, so that they sort as they were said. Shapes: @modelcontextprotocol/
 * server 2.4 and sdk 1.32, EventStore.
 */
import { type Channel, createChannel, type Scope } from "../core/channel.ts";
import { FanoutError } from "../core/errors.ts";
import type { Message } from "../core/message.ts";
import { parsePosition } from "../core/position.ts";
import { type FanoutBus, seamOf } from "./bus.ts";

type Said = { readonly jsonrpc?: "2.0" | undefined };

export interface SessionEventStore {
	storeEvent(streamId: string, message: Said): Promise<string>;
	getStreamIdForEventId(eventId: string): Promise<string | undefined>;
	/** Rejects when the event is not of this session, or when what came after it is not kept whole. */
	replayEventsAfter(lastEventId: string, to: { send(eventId: string, message: never): Promise<void> }): Promise<string>;
}

const METHOD = "mcp-fanout/event";
const EVENT_ID = /^([\w-]{1,700})\.([\w-]{1,64})\.([0-9a-f]{8}\.\d{1,15})$/;

export function createEventStore(
	fanout: { bus(): FanoutBus },
	session: string,
	{ tenant }: Pick<Scope, "tenant"> = {},
): SessionEventStore {
	const deps = seamOf(fanout.bus())?.deps;
	if (deps === undefined) throw new FanoutError("ConfigInvalid", "an event store needs a fanout of createFanout's");
	// With a slash in it, another session's stream could be called the same: `a/b` and `c` as `a` and `b/c`.
	if (typeof session !== "string" || session === "" || session.includes("/")) {
		throw new FanoutError("InvalidChannel", "an event store's session is a non-empty string without a slash");
	}
	const { sessions: host, namespace } = deps;
	const channelOf = (stream: string): Channel => createChannel("post", `${session}/${stream}`, { namespace, tenant });

	return {
		async storeEvent(stream, said) {
			const message = { jsonrpc: "2.0" as const, method: METHOD, params: { message: said } };
			const { accepted } = await host.publish(channelOf(stream), message);
			const at = accepted.find(({ reach }) => reach !== "process") ?? accepted[0];
			if (at?.position !== undefined) return idOf(stream, at.lane, at.position);
			throw new FanoutError("Unsupported", "an event has a name only where a log takes it at once, and says where");
		},
		async getStreamIdForEventId(eventId) {
			return readId(eventId)?.stream;
		},
		async replayEventsAfter(lastEventId, { send }) {
			const last = readId(lastEventId);
			if (last === undefined) throw new FanoutError("InvalidCursor", "not an event of this store");
			const { stream, lane, position } = last;
			for await (const { at, message } of host.readAfter(lane, channelOf(stream), parsePosition(position))) {
				const said = saidIn(message);
				if (said !== undefined) await send(idOf(stream, lane, at), said as never);
			}
			return stream;
		},
	};
}

const idOf = (stream: string, lane: string, position: string): string =>
	`${Buffer.from(stream).toString("base64url")}.${lane}.${position}`;

function readId(eventId: string): { stream: string; lane: string; position: string } | undefined {
	const match = EVENT_ID.exec(eventId);
	if (match === null) return undefined;
	const [, stream = "", lane = "", position = ""] = match;
	return { stream: Buffer.from(stream, "base64url").toString(), lane, position };
}

/** Transports store an empty event to prime a stream: nobody wants to hear it again. */
function saidIn(stored: Message): object | undefined {
	if (!("method" in stored) || stored.method !== METHOD) return undefined;
	const said = stored.params?.message;
	return typeof said === "object" && said !== null && Object.keys(said).length > 0 ? said : undefined;
}
