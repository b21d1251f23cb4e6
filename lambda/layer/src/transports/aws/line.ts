/**
 * The subscriptions that stand on one WebSocket. `want` and `drop` say what should stand; frames are made from the
 * difference once a tick, a few in flight. While a frame that names a channel is unanswered the channel is in no
 * other frame: API Gateway runs a connection's frames in parallel, and an unsubscribe may overtake a subscribe.
 */
import { FanoutError } from "../../core/errors.ts";
import type { Position } from "../../core/position.ts";
import type { Request, Socket } from "./socket.ts";
import { chunkChannels } from "./wire.ts";

/** Subscribe and unsubscribe frames that are unanswered at once. */
export const MAX_REQUESTS_IN_FLIGHT = 4;

export interface LineHost {
	/** The channel's rows stand; `end` was read after them. */
	stands(key: string, end: Position): void;
	refused(key: string, error: FanoutError): void;
	/** It has stood before, here or on an earlier connection. */
	hasStood(key: string): boolean;
	/** A request failed as a whole in a way that another connection may not. */
	failed(error: FanoutError): void;
	/** Nothing is left to do. */
	settled(): void;
}

export interface Line {
	/** Everything that is wanted stands, and nothing else. */
	readonly settled: boolean;
	want(key: string): void;
	drop(key: string): void;
	close(): Promise<void>;
}

export function createLine(socket: Socket, keys: Iterable<string>, host: LineHost): Line {
	const wanted = new Set<string>(keys);
	const standing = new Set<string>();
	const busy = new Set<string>();
	const again = new Set<string>();
	let dirty = new Set<string>(wanted);
	let inFlight = 0;
	let scheduled = false;
	let closed = false;

	const answered = (action: "subscribe" | "unsubscribe", channels: readonly string[]) => {
		inFlight -= 1;
		for (const key of channels) {
			busy.delete(key);
			if (action === "subscribe") standing.add(key);
			else standing.delete(key);
			if (again.has(key)) standing.delete(key);
			if (wanted.has(key) !== standing.has(key)) dirty.add(key);
		}
		schedule();
	};
	const refuse = (key: string, error: FanoutError) => {
		standing.delete(key);
		dirty.delete(key);
		if (wanted.delete(key)) host.refused(key, error);
	};
	const send = async (request: Exclude<Request, { action: "ping" }>): Promise<void> => {
		const { action, channels } = request;
		inFlight += 1;
		for (const key of channels) busy.add(key);
		try {
			const reply = await socket.request(request);
			answered(action, channels);
			const stale = channels.filter((key) => again.delete(key));
			if (reply.t !== "subscribed") return;
			const ends = new Map(reply.ends);
			const refused = new Map(reply.refused);
			for (const key of channels) {
				if (stale.includes(key)) continue;
				const end = ends.get(key);
				const code = refused.get(key) ?? "no answer";
				if (end !== undefined) {
					if (wanted.has(key)) host.stands(key, end);
				} else
					refuse(key, new FanoutError("TransportRefused", `the cell refused a channel: ${code}`, { data: { code } }));
			}
		} catch (error) {
			if (closed) return;
			answered("unsubscribe", channels);
			for (const key of channels) again.delete(key);
			const refusal = error as FanoutError;
			if (refusal.code !== "TransportRefused" || refusal.retryable) return host.failed(refusal);
			for (const key of channels) refuse(key, refusal);
		}
	};
	const reconcile = () => {
		scheduled = false;
		if (closed) return;
		const later = new Set<string>();
		const subscribe: string[] = [];
		const unsubscribe: string[] = [];
		for (const key of dirty) {
			if (busy.has(key)) continue; // its answer puts it back
			if (wanted.has(key) === standing.has(key)) continue;
			(wanted.has(key) ? subscribe : unsubscribe).push(key);
		}
		const { fresh = [], old = [] } = Object.groupBy(subscribe, (key) => (host.hasStood(key) ? "old" : "fresh"));
		const frames = [
			...chunkChannels(fresh).map((channels) => ({ action: "subscribe" as const, channels })),
			...chunkChannels(old).map((channels) => ({ action: "subscribe" as const, channels, again: true as const })),
			...chunkChannels(unsubscribe).map((channels) => ({ action: "unsubscribe" as const, channels })),
		];
		for (const frame of frames) {
			if (inFlight < MAX_REQUESTS_IN_FLIGHT) send(frame);
			else for (const key of frame.channels) later.add(key);
		}
		dirty = later;
		if (inFlight === 0) host.settled();
	};
	const schedule = () => {
		if (scheduled || closed) return;
		scheduled = true;
		queueMicrotask(reconcile);
	};
	const touch = (key: string) => {
		dirty.add(key);
		schedule();
	};

	schedule();
	return {
		get settled() {
			return !scheduled && inFlight === 0 && dirty.size === 0;
		},
		want(key) {
			wanted.add(key);
			// Also one that stands is asked for again: whoever wants it now needs an end that is read after now.
			if (busy.has(key)) again.add(key);
			else standing.delete(key);
			touch(key);
		},
		drop(key) {
			wanted.delete(key);
			touch(key);
		},
		close() {
			closed = true;
			return socket.close();
		},
	};
}
