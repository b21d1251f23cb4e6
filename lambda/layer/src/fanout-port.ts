/** What `createFanout` gives. Types only; what each call promises stands here. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Affinity } from "./affinity.ts";
import type { Channel } from "./core/channel.ts";
import type { DrainRequest } from "./core/drain.ts";
import type { NotificationInput } from "./core/message.ts";
import type { Hold } from "./following.ts";
import type { FanoutBus } from "./mcp/bus.ts";
import type { TargetHealth } from "./outgoing.ts";
import type { Address, Notify, Target } from "./publish/address.ts";
import type { Receipt } from "./publish/receipt.ts";
import type { Reloaded } from "./reload.ts";
import type { Sessions } from "./sessions/sessions.ts";
import type { ClientStream } from "./stream/port.ts";
import type { StreamRequest } from "./stream/request.ts";
import type { ResponseOptions } from "./stream/response.ts";
import type { WebSocketLike } from "./stream/websocket.ts";

export interface PublishOptions {
	/** The deduplication key, when the caller has one; a lowercase UUID. */
	readonly id?: string;
	/** W3C `traceparent`. */
	readonly trace?: string;
}

export interface TicketRequest extends StreamRequest {
	readonly ttlSeconds?: number;
}

export interface Health {
	/** False from the first moment of a drain or close. */
	readonly ready: boolean;
	readonly transports: readonly string[];
	readonly streams: number;
	readonly sessions: number;
	readonly lanes: number;
	/** Sessions that this instance owns. */
	readonly owned: number;
	/** What an envelope may be sent to: its breaker, and what is queued for it. */
	readonly targets: readonly TargetHealth[];
}

export interface Fanout {
	readonly instanceId: string;
	readonly namespace: string;
	/** To everyone of the tenant whose request this is, in a fleet handler; else of the default tenant. */
	readonly notify: Notify;
	to(target: Target): Address;
	/** Who owns which session; nothing is opened before its first use. */
	readonly sessions: Sessions;
	/** Resolves when a lane has accepted; rejects with AllBroadcastersFailed or the caller's own mistake. */
	publish(channel: Channel, notification: NotificationInput, options?: PublishOptions): Promise<Receipt>;
	bus(): FanoutBus;
	/** When asked for: what names this instance to proxies. `sse` and `response` carry it, and so does a fleet handler. */
	readonly affinity?: Affinity;
	/** Client streams. Refusals are answered on the connection; `opened` rejects then. */
	sse(req: IncomingMessage, res: ServerResponse, request?: StreamRequest): ClientStream;
	response(request: Request, options?: StreamRequest & Pick<ResponseOptions, "headers" | "onStream">): Response;
	/** What a client says on it is not read, but `ws` gathers each message: give its server a small `maxPayload`. */
	websocket(ws: WebSocketLike, request?: StreamRequest): ClientStream;
	/** A ticket for the cell's WebSocket API; only after the caller has authenticated whom it is for. */
	issueTicket(request: TicketRequest): Promise<string>;
	health(): Health;
	/** Follows until released, where `follow` is `held`; where it is true, nothing changes. */
	hold(): Promise<Hold>;
	/**
	 * For a process that follows only while it is held, when it is about to freeze: nothing that requests left at work goes
	 * on. Sessions of MCP's 2025 era are taken over by whoever serves them next.
	 */
	settle(): Promise<void>;
	/** Resolves when everything published before is accepted, queued or failed. */
	flush(): Promise<void>;
	/** Closes connections that nothing uses now; the next use opens new ones. For a process that is about to freeze. */
	rest(): void;
	/**
	 * `health().ready` is false at once; client streams end with `moved` at a jittered pace, all within `graceMs`, new ones
	 * are refused, and owned sessions are given over. What was routed here is taken until `close`.
	 */
	drain(options: DrainRequest): Promise<void>;
	/** Idempotent: flushes, ends every client stream, and leaves no timer, socket or listener. */
	close(): Promise<void>;
	/**
	 * Reads the file again that configures this process, and puts it in force without losing or reordering anything.
	 * Rejects with everything as it was: ConfigInvalid with all problems at their places (`data.problems`), or what a
	 * transport that it adds says. See `reload` of the options for what reads it unasked.
	 */
	reload(): Promise<Reloaded>;
}
