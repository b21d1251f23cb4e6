/**
 * A client of the ticket API, in browsers and Node: follows channels over one WebSocket and yields their messages in
 * order, once, gapless or told. It reconnects by itself, with a new ticket each time, and resumes from its cursor;
 * what the consumer does not take is bounded and read again later.
 */
import { fullJitter } from "../core/backoff.ts";
import type { Timer } from "../core/clock.ts";
import { withDeadline } from "../core/deadline.ts";
import { asFanoutError, FanoutError } from "../core/errors.ts";
import { formatPosition, type Position } from "../core/position.ts";
import { call } from "./call.ts";
import { clientClock } from "./clock.ts";
import { encodeCursor, readCursor } from "./cursor.ts";
import type { Frame } from "./frames.ts";
import { createLane, type Lane, type Missing } from "./lane.ts";
import type { ClientEvent, Connection, ConnectOptions, Delivery } from "./options.ts";
import * as defaults from "./options.ts";
import { createQueue } from "./queue.ts";
import { createReads } from "./reads.ts";
import { openSocket, type Socket, type WebSocketLike } from "./socket.ts";
import { renewalMs } from "./ticket.ts";

/** Keeps a subscribe frame under what API Gateway takes (32 KB) with the longest keys. */
const MAX_FRAME_CHANNELS = 12;

/** What a channel is refused with for the moment, or until there is a fresh ticket: the next connection asks again. */
const PASSING = new Set(["TransportUnavailable", "DeadlineExceeded", "QueueFull", "Aborted", "TicketInvalid"]);
const refusedForNow = ([channel, code]: readonly [string, string]): FanoutError =>
	new FanoutError("TransportUnavailable", `the server refused ${channel} for now: ${code}`, { retryable: true });

export function connect(url: string, options: ConnectOptions): Connection {
	const { clock = clientClock, random = Math.random, backoff = defaults.DEFAULT_BACKOFF } = options;
	const WebSocket = options.WebSocket ?? (globalThis.WebSocket as unknown as WebSocketLike | undefined);
	if (WebSocket === undefined) throw new FanoutError("DependencyMissing", "there is no WebSocket here: pass one");
	const requestTimeoutMs = options.requestTimeoutMs ?? defaults.DEFAULT_REQUEST_TIMEOUT_MS;
	const settings = {
		clock,
		random,
		WebSocket,
		requestTimeoutMs,
		checkMs: options.checkMs ?? defaults.DEFAULT_CHECK_MS,
	};
	const taken = readCursor(options.cursor);
	const lanes = new Map<string, Lane>();
	const reads = createReads({ clock, random, backoff }, lanes);
	/** Channels that a connection of this client has had, and in which region last. */
	const stood = new Map<string, string | undefined>();
	let socket: Socket | undefined;
	let nextDial: Timer | undefined;
	let renewal: Timer | undefined;
	let failures = 0;
	/** Never, while there is no connection. */
	let openedAt = Number.POSITIVE_INFINITY;
	let closed = false;

	const tell = (event: ClientEvent) => call(options.onEvent, event);
	const queue = createQueue<Delivery>(options.maxQueued ?? defaults.DEFAULT_MAX_QUEUED, options.onMessage, () => {
		for (const lane of lanes.values()) lane.room();
	});
	for (const channel of options.channels) lanes.set(channel, follow(channel));

	function follow(channel: string): Lane {
		let told: Missing | undefined;
		const missing = (reason: Missing) => {
			told = reason;
			tell({ type: "missing", channel, reason });
		};
		return createLane(taken.get(channel)?.position, {
			missing,
			deliver({ position, message, id }) {
				if (!queue.hasRoom) return false;
				const place = { position, region: stood.get(channel) };
				const commit = () => void taken.set(channel, place);
				if (message === undefined || id === undefined) {
					missing("gap");
					queue.push({ commit });
					return true;
				}
				const value = { channel, message, position: formatPosition(position), id };
				queue.push({ value: told === undefined ? value : { ...value, missing: told }, commit });
				told = undefined;
				return true;
			},
			read: () => reads.want(channel),
		});
	}

	function endLane(channel: string, reason: string): void {
		if (!lanes.delete(channel)) return;
		tell({ type: "ended", channel, reason });
		if (lanes.size === 0) close();
	}

	function onFrame(frame: Frame): void {
		if (frame.t === "entries") lanes.get(frame.channel)?.entries(frame.entries);
		else if (frame.t === "moved") endLane(frame.channel, "moved");
	}

	async function subscribe(on: Socket): Promise<void> {
		// What stood before is told apart, with where: a session that moved away from there meanwhile is then told, and not
		// taken back; one whose client was led to another region moves with it.
		const groups = Map.groupBy(lanes.keys(), (key) => stood.has(key) && (stood.get(key) ?? true));
		for (const [again, channels] of groups) await subscribeTo(on, channels, again === false ? {} : { again });
	}

	function stands(channel: string, end: Position, region: string | undefined): void {
		const lane = lanes.get(channel);
		if (lane === undefined) return; // it was not asked for
		const before = stood.has(channel) ? stood.get(channel) : taken.get(channel)?.region;
		stood.set(channel, region);
		if (!taken.has(channel)) taken.set(channel, { position: end, region });
		if (before === undefined || region === undefined || before === region) lane.subscribed(end);
		else lane.subscribedElsewhere(end);
	}

	async function subscribeTo(on: Socket, all: readonly string[], flags: { readonly again?: string | true }) {
		for (let at = 0; at < all.length; at += MAX_FRAME_CHANNELS) {
			const channels = all.slice(at, at + MAX_FRAME_CHANNELS);
			const frame = await insist(on, { action: "subscribe", channels, ...flags });
			if (frame.t !== "subscribed") continue;
			for (const [channel, end] of frame.ends) stands(channel, end, frame.region);
			for (const [channel, code] of frame.refused) if (!PASSING.has(code)) endLane(channel, code);
			const passing = frame.refused.find(([, code]) => PASSING.has(code));
			if (passing === undefined) continue;
			const error = refusedForNow(passing);
			on.lose(error);
			throw error;
		}
	}

	function onLost(error: FanoutError): void {
		socket = undefined;
		reads.stop();
		renewal?.cancel();
		for (const lane of lanes.values()) lane.lost();
		if (clock.monotonic() - openedAt > backoff.capMs) failures = 0;
		openedAt = Number.POSITIVE_INFINITY;
		nextDial = clock.after(fullJitter(failures, backoff, random), dial);
		failures += 1;
		tell({ type: "lost", error });
	}

	/** An answer without which the connection is of no use. */
	async function insist(on: Socket, request: Readonly<Record<string, unknown>>): Promise<Frame> {
		try {
			return await on.request(request);
		} catch (error) {
			on.lose(error as FanoutError);
			throw error;
		}
	}

	const freshTicket = (): Promise<string> =>
		withDeadline(clock, requestTimeoutMs, "a ticket", async () =>
			typeof options.ticket === "string" ? options.ticket : options.ticket(),
		);

	async function dial(): Promise<void> {
		try {
			const ticket = await freshTicket();
			if (closed) return;
			const opened: Socket = openSocket(url, ticket, settings, {
				opened: () => {
					openedAt = clock.monotonic();
					renewLater(ticket);
					const told = () => tell({ type: "open" });
					subscribe(opened).then(told, () => undefined); // a lost socket is told to onLost, which starts over
				},
				keepAlive: () => subscribe(opened),
				frame: onFrame,
				lost: onLost,
			});
			socket = opened;
			reads.start(opened);
		} catch (error) {
			if (!closed) onLost(asFanoutError(error, "TransportUnavailable", "could not connect", true));
		}
	}

	function renewLater(ticket: string): void {
		const ms = renewalMs(ticket);
		if (ms === undefined || typeof options.ticket === "string") return;
		renewal?.cancel();
		// One that fails leaves it to the server to end the connection, and to the next one to ask for a ticket again.
		renewal = clock.after(ms, () => void renew().catch(() => undefined));
	}

	async function renew(): Promise<void> {
		const on = socket;
		const ticket = await freshTicket();
		if (on === undefined || on !== socket) throw new FanoutError("Closed", "not connected");
		await insist(on, { action: "renew", ticket });
		renewLater(ticket);
	}

	function close(): void {
		closed = true;
		reads.stop();
		nextDial?.cancel();
		renewal?.cancel();
		socket?.close();
		socket = undefined;
		queue.end();
	}

	dial();
	return {
		get cursor() {
			return encodeCursor(taken);
		},
		renew,
		close,
		[Symbol.asyncIterator]: () => queue[Symbol.asyncIterator](),
	};
}
