/**
 * Client streams on a WebSocket of the shape of `ws`, which the caller brings. One JSON text frame per thing shown:
 * `{"cursor","message"}`, `{"cursor"}`, `{"mark","cursor"}`, `{"end"}`. What the client sends is not read here.
 * Heartbeats are pings; a peer that answered none by the next one is gone.
 */
import type { Reason } from "../core/client-feed.ts";
import type { HubStream } from "./client-stream.ts";
import { jsonEncoding } from "./frames.ts";
import type { Hub } from "./hub.ts";
import type { ClientStream, StreamOptions } from "./port.ts";
import { refusalOf } from "./refusal.ts";
import type { Wire } from "./wire.ts";

export interface WebSocketLike {
	readonly readyState: number;
	readonly bufferedAmount: number;
	send(data: string, done?: (error?: Error) => void): void;
	ping(): void;
	close(code?: number, reason?: string): void;
	terminate(): void;
	on(event: "close" | "error" | "pong", listener: () => void): unknown;
	off(event: "close" | "error" | "pong", listener: () => void): unknown;
}

const OPEN = 1;
const HIGH_WATER_BYTES = 64 * 1024;

/** RFC 6455 section 7.4.1 and the IANA registry: going away, policy violation, internal error, try again later. */
function closeCode(reason: Reason): number {
	if (reason === "moved" || reason === "shutdown") return 1001;
	if (reason === "expired") return 1008;
	if (reason === "slow-consumer") return 1013;
	return reason === "closed" ? 1000 : 1011;
}

class SocketWire implements Wire {
	#frames: string[] = [];
	#size = 0;
	#isBlocked = false;
	#isAlive = true;
	readonly #stream: HubStream;
	readonly #ws: WebSocketLike;

	constructor(stream: HubStream, ws: WebSocketLike) {
		this.#stream = stream;
		this.#ws = ws;
	}

	start(): void {
		const ws = this.#ws;
		if (ws.readyState !== OPEN) {
			this.#stream.gone();
			return;
		}
		ws.on("close", this.#release);
		ws.on("pong", this.#pong);
	}

	get size(): number {
		return this.#size;
	}

	append(frame: string): void {
		this.#frames.push(frame);
		this.#size += frame.length;
	}

	flush(): boolean {
		const frames = this.#frames;
		if (frames.length === 0) return true;
		this.#frames = [];
		this.#size = 0;
		const ws = this.#ws;
		if (ws.readyState !== OPEN) return true;
		const last = frames.length - 1;
		for (let i = 0; i < last; i += 1) ws.send(frames[i] as string);
		ws.send(frames[last] as string, this.#sent);
		this.#isBlocked = ws.bufferedAmount > HIGH_WATER_BYTES;
		return !this.#isBlocked;
	}

	beat(): void {
		if (!this.#isAlive) this.destroy();
		this.#isAlive = false;
		if (this.#ws.readyState === OPEN) this.#ws.ping();
	}

	finish(reason: Reason): void {
		this.#ws.close(closeCode(reason), reason);
	}

	destroy(): void {
		this.#ws.terminate();
	}

	readonly #sent = (): void => {
		if (!this.#isBlocked) return;
		this.#isBlocked = false;
		this.#stream.drained();
	};

	readonly #pong = (): void => {
		this.#isAlive = true;
	};

	readonly #release = (): void => {
		this.#ws.off("close", this.#release);
		this.#ws.off("pong", this.#pong);
		this.#stream.gone();
	};
}

/** Opens a client stream on this socket; one that is refused is closed here with 1013 or 1008 and has ended. */
export function openWebSocket(hub: Hub, ws: WebSocketLike, options: StreamOptions): ClientStream {
	let stream: HubStream;
	// Without a listener an error is thrown, also of one that was refused and says what is no frame; `close` follows each.
	ws.on("error", () => ws.terminate());
	try {
		stream = hub.open(options, jsonEncoding, (opened) => new SocketWire(opened, ws));
	} catch (error) {
		const refusal = refusalOf(error);
		ws.close(refusal.status === 503 ? 1013 : 1008, refusal.error.code);
		return refusal.stream;
	}
	return stream;
}
