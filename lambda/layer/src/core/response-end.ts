/**
 * Whether somebody takes a response. Three kinds do not say by themselves that nobody does: HTTP/2's has no `destroyed`; one
 * that waits behind another on its connection (pipelined) has no socket, and before Node 24 is not closed with it.
 */
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** What is to be told by a connection, for which one listener serves: there may be very many. */
const waiting = new WeakMap<Socket, Set<() => void>>();

/** Of HTTP/2. */
interface Stream {
	readonly destroyed: boolean;
	once(event: "finish", listener: () => void): unknown;
	/** What still comes is for nobody. */
	close(): void;
}

export const streamOf = (res: ServerResponse) => (res as { readonly stream?: Stream }).stream;

/** Nobody takes it any more, and `close` may be over. */
export function isLost(res: ServerResponse): boolean {
	const stream = streamOf(res);
	return stream === undefined ? res.destroyed || res.req.socket.destroyed : stream.destroyed;
}

/** Calls `over` once, when the response has ended or nobody takes it any more. */
export function whenOver(res: ServerResponse, over: () => void): void {
	if (res.socket !== null || streamOf(res) !== undefined) {
		res.once("close", over);
		return;
	}
	const { socket } = res.req;
	const told = waiting.get(socket) ?? new Set();
	if (!waiting.has(socket)) {
		waiting.set(socket, told);
		socket.once("close", () => {
			for (const tell of told) tell();
		});
	}
	const tell = () => {
		if (told.delete(tell)) over();
	};
	told.add(tell);
	res.once("close", tell);
}
