/** What a client may be told, and what it tells. */
import type { Clock } from "../core/clock.ts";
import type { FanoutError } from "../core/errors.ts";
import type { Missing } from "./lane.ts";
import type { WebSocketLike } from "./socket.ts";

export const DEFAULT_MAX_QUEUED = 1_000;
/** Under API Gateway's ten idle minutes. */
export const DEFAULT_CHECK_MS = 5 * 60_000;
export const DEFAULT_REQUEST_TIMEOUT_MS = 10_000;
export const DEFAULT_BACKOFF = { baseMs: 200, capMs: 20_000 } as const;

export interface Delivery {
	readonly channel: string;
	/** The JSON-RPC message. */
	readonly message: Readonly<Record<string, unknown>>;
	readonly position: string;
	/** The envelope's id: the same for every copy of one message. */
	readonly id: string;
	/** Something of this channel before this message is missing, and why. */
	readonly missing?: Missing;
}

export type ClientEvent =
	/** Connected, and every channel is followed. */
	| { readonly type: "open" }
	/** The connection is gone and another one is tried; `error.data.reason` is what the server stated, if it did. */
	| { readonly type: "lost"; readonly error: FanoutError }
	| { readonly type: "missing"; readonly channel: string; readonly reason: Missing }
	/** The channel is followed no longer: it moved to another region, or the ticket does not cover it. */
	| { readonly type: "ended"; readonly channel: string; readonly reason: string };

export interface ConnectOptions {
	/** A ticket, or what makes a fresh one for every connection and renewal. */
	readonly ticket: string | (() => string | Promise<string>);
	/** Channel keys that the ticket covers. */
	readonly channels: readonly string[];
	/** Where an earlier connection's `cursor` left off; channels that it does not name start now. */
	readonly cursor?: string | undefined;
	/** Called for every message; nothing is then left to iterate. */
	readonly onMessage?: ((delivery: Delivery) => void) | undefined;
	readonly onEvent?: ((event: ClientEvent) => void) | undefined;
	readonly WebSocket?: WebSocketLike | undefined;
	/** Most messages that wait for the consumer; what comes on top is read from the log later. */
	readonly maxQueued?: number | undefined;
	/** How often the ends of the logs are asked for, which also keeps the connection: a lost last message is found by it. */
	readonly checkMs?: number | undefined;
	readonly requestTimeoutMs?: number | undefined;
	readonly backoff?: { readonly baseMs: number; readonly capMs: number } | undefined;
	readonly clock?: Clock | undefined;
	/** A number in [0, 1). */
	readonly random?: (() => number) | undefined;
}

export interface Connection extends AsyncIterable<Delivery> {
	/** After the last message that the consumer took: pass it to `connect` to go on from there. */
	readonly cursor: string;
	/** Extends the connection with a fresh ticket; done by itself when `ticket` is a function. */
	renew(): Promise<void>;
	close(): void;
}
