/**
 * The link: every channel that this process follows, over one IAM WebSocket connection.
 * States: `idle` (before start, after close), `waiting` (for the next attempt), `dialing`, `open`, `rotating` (open,
 * with a successor on its way before API Gateway's two-hour cut). A successor takes over once every channel stands
 * on it; entries of both reach the subscribers meanwhile, and the engine drops what it has. Whatever ends a
 * connection leads to the next one, which subscribes everything anew and tells each subscriber the end that the
 * cell read after its rows stood, so that nothing posted to a dead connection stays unnoticed.
 */

import { type BackoffLimits, fullJitter } from "../../core/backoff.ts";
import type { Channel } from "../../core/channel.ts";
import type { Timer } from "../../core/clock.ts";
import { withDeadline } from "../../core/deadline.ts";
import { asFanoutError, FanoutError } from "../../core/errors.ts";
import type { Subscriber, Subscription, TransportEvent } from "../../core/transport.ts";
import { dial, type WebSocketClass } from "./dial.ts";
import { createFollower, type Follower } from "./follower.ts";
import { createLine, type Line } from "./line.ts";
import { createSocket, isRetryableCode, type SocketOptions } from "./socket.ts";
import { MOVED, type ServerFrame } from "./wire.ts";

export interface LinkOptions extends SocketOptions {
	/** A fresh signed address for every attempt. */
	readonly address: () => Promise<URL>;
	readonly WebSocket: WebSocketClass;
	readonly report: (event: TransportEvent) => void;
	readonly connectTimeoutMs: number;
	/** How long `ready` of a subscription waits. */
	readonly readyTimeoutMs: number;
	readonly backoff: BackoffLimits;
	/** A connection's age at which its successor is dialed; up to 5 % less. */
	readonly rotateMs: number;
}

export interface Link {
	readonly state: "idle" | "waiting" | "dialing" | "open" | "rotating";
	/** One attempt; rejects when it fails, and can then be called again. */
	start(signal: AbortSignal): Promise<void>;
	subscribe(channel: Channel, subscriber: Subscriber): Subscription;
	close(): Promise<void>;
}

const ROTATE_JITTER = 0.05;

export function createLink(options: LinkOptions): Link {
	const { clock, random, backoff, report } = options;
	const followers = new Map<string, Follower>();
	const goodbyes = new Set<Promise<void>>();
	const retries = new Set<Timer>();
	let state: Link["state"] = "idle";
	let current: Line | undefined;
	let successor: Line | undefined;
	let nextAttempt: Timer | undefined;
	let rotation: Timer | undefined;
	let life = new AbortController();
	let failures = 0;
	let openedAt = 0;

	const leave = (line: Line | undefined) => {
		if (line === undefined) return;
		const goodbye = line.close().finally(() => goodbyes.delete(goodbye));
		goodbyes.add(goodbye);
	};

	const onFrame = (line: Line, frame: ServerFrame) => {
		switch (frame.t) {
			case "entries": {
				const leak = followers.get(frame.channel)?.entries(frame.entries);
				if (leak !== undefined) report({ kind: "error", error: leak });
				return;
			}
			case "moved": {
				const follower = followers.get(frame.channel);
				unfollow(frame.channel);
				return follower?.moved();
			}
			case "end":
				return onLost(line, new FanoutError("TransportUnavailable", `the cell ended the connection: ${frame.reason}`));
			case "error":
				return report({ kind: "error", error: new FanoutError("TransportRefused", `${frame.code}: ${frame.message}`) });
		}
	};
	const unfollow = (key: string) => {
		followers.delete(key);
		current?.drop(key);
		successor?.drop(key);
	};
	const onRefused = (key: string, error: FanoutError) => {
		const follower = followers.get(key);
		if (!isRetryableCode(String(error.data.code))) {
			unfollow(key);
			return error.data.code === MOVED ? follower?.moved() : follower?.refused(error);
		}
		const timer = clock.after(backoff.baseMs + random() * backoff.capMs, () => {
			retries.delete(timer);
			if (followers.get(key) !== follower) return;
			current?.want(key);
			successor?.want(key);
		});
		retries.add(timer);
	};
	const onLost = (line: Line, error: FanoutError) => {
		if (line !== current && line !== successor) return;
		leave(line);
		if (line === successor) successor = undefined;
		else {
			failures = clock.monotonic() - openedAt >= backoff.capMs ? 0 : failures + 1;
			current = undefined;
			rotation?.cancel();
			report({ kind: "disconnected", detail: error.message });
			if (successor !== undefined) return promote(successor);
			if (state === "rotating") {
				state = "dialing";
				return; // the successor's attempt is on its way and will be the connection
			}
		}
		attemptLater();
	};
	const promote = (line: Line) => {
		const old = current;
		current = line;
		successor = undefined;
		state = "open";
		openedAt = clock.monotonic();
		rotation?.cancel();
		rotation = clock.after(options.rotateMs * (1 - ROTATE_JITTER * random()), attempt);
		leave(old);
		report({ kind: "connected" });
	};
	const open = async (signal: AbortSignal): Promise<Line> => {
		const dialled = await withDeadline(
			clock,
			options.connectTimeoutMs,
			"connecting the link",
			async (inner) => dial(await options.address(), options.WebSocket, inner),
			signal,
		);
		const socket = createSocket(dialled, options, {
			frame: (frame) => onFrame(line, frame),
			lost: (error) => onLost(line, error),
		});
		const line: Line = createLine(socket, followers.keys(), {
			stands: (key, end) => followers.get(key)?.stands(end),
			refused: onRefused,
			hasStood: (key) => followers.get(key)?.hasStood ?? false,
			failed: (error) => onLost(line, error),
			settled: () => {
				if (line === successor) promote(line);
			},
		});
		return line;
	};
	const attempt = async (): Promise<void> => {
		nextAttempt?.cancel();
		const { signal } = life;
		state = current === undefined ? "dialing" : "rotating";
		try {
			const line = await open(signal);
			if (signal.aborted) leave(line);
			else if (current === undefined || line.settled) promote(line);
			else successor = line;
		} catch (error) {
			if (signal.aborted) return;
			failures += 1;
			report({
				kind: "error",
				error: asFanoutError(error, "TransportUnavailable", "the link could not connect", true),
			});
			attemptLater();
		}
	};
	const attemptLater = () => {
		state = current === undefined ? "waiting" : "open";
		nextAttempt?.cancel();
		nextAttempt = clock.after(fullJitter(failures, backoff, random), attempt);
	};

	return {
		get state() {
			return state;
		},
		async start(signal) {
			if (state !== "idle") throw new FanoutError("Closed", "the link was started already");
			state = "dialing";
			life = new AbortController();
			const { signal: alive } = life;
			try {
				const line = await open(AbortSignal.any([signal, alive]));
				if (alive.aborted) leave(line);
				else promote(line);
			} catch (error) {
				state = "idle";
				throw error;
			}
		},
		subscribe(channel, subscriber) {
			const { key } = channel;
			const follower = createFollower(channel, subscriber, clock, options.readyTimeoutMs);
			followers.get(key)?.close();
			followers.set(key, follower);
			current?.want(key);
			successor?.want(key);
			return {
				ready: follower.ready,
				close() {
					follower.close();
					if (followers.get(key) === follower) unfollow(key);
				},
			};
		},
		async close() {
			state = "idle";
			life.abort();
			for (const timer of [nextAttempt, rotation, ...retries]) timer?.cancel();
			retries.clear();
			for (const follower of followers.values()) follower.close();
			followers.clear();
			leave(current);
			leave(successor);
			current = undefined;
			successor = undefined;
			await Promise.all(goodbyes);
		},
	};
}
