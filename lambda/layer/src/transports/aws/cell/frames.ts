/**
 * What the cell answers to a frame from a connection. Every frame gets an answer by post, with its `ref`; a frame
 * that cannot be read or served gets an `error`. An end client reaches the channels that its ticket names, no other.
 * `subscribed` is read after the rows stand: what is appended later is posted, what was before is at or under its end.
 */
import { type Channel, parseChannel } from "../../../core/channel.ts";
import type { Clock } from "../../../core/clock.ts";
import { asFanoutError, FanoutError, isFanoutError } from "../../../core/errors.ts";
import type { Position } from "../../../core/position.ts";
import type { Home } from "../home.ts";
import type { Log } from "../log.ts";
import { type TicketKey, verifyTicket } from "../ticket.ts";
import { type ClientFrame, decodeClientFrame, encodePage, encodeServerFrame, MOVED, refOf } from "../wire.ts";
import type { ConnectionMeta, Connections } from "./connections.ts";
import { forEachBounded, type Reports } from "./poster.ts";

/** Log tails and claims read at the same time for one frame. */
export const SUBSCRIBE_CONCURRENCY = 16;

export interface FramePorts {
	readonly namespace: string;
	readonly region: string;
	readonly clock: Clock;
	readonly connections: Pick<Connections, "follow" | "unfollow" | "renew" | "countRead">;
	readonly log: Pick<Log, "end" | "rows">;
	readonly home: Pick<Home, "claim" | "keep">;
	readonly report: Reports;
	key(): Promise<TicketKey>;
}

function checkChannel(ports: FramePorts, { api, claims }: ConnectionMeta, key: string): Channel {
	const channel = parseChannel(key);
	if (channel.namespace !== ports.namespace) {
		throw new FanoutError("InvalidChannel", "the channel is of another namespace");
	}
	if (api === "client") {
		if (claims === undefined || claims.expiresAt * 1000 <= ports.clock.now()) {
			throw new FanoutError("TicketInvalid", "the ticket has ended: renew it");
		}
		if (!claims.channels.includes(key)) throw new FanoutError("ScopeRequired", "the ticket does not name the channel");
	}
	return channel;
}

const codeOf = (error: unknown): string => (isFanoutError(error) ? error.code : "TransportUnavailable");

type Subscribe = Extract<ClientFrame, { readonly action: "subscribe" | "unsubscribe" }>;

async function subscribe(ports: FramePorts, meta: ConnectionMeta, { ref, channels, again }: Subscribe) {
	const refused: [string, string][] = [];
	const standing: string[] = [];
	const sessions = new Set<string>();
	const isAgain = again === true || again === ports.region;
	const refuse = (key: string, error: unknown) => {
		if (!isFanoutError(error)) ports.report("claim failed", { connection: meta.id, error: (error as Error).name });
		refused.push([key, codeOf(error)]);
	};
	await forEachBounded([...new Set(channels)], SUBSCRIBE_CONCURRENCY, async (key) => {
		try {
			const isSession = checkChannel(ports, meta, key).kind === "session";
			if (isSession && isAgain) sessions.add(key);
			// Home first: rows that stood before the claim could be evicted by a record of the old home.
			else if (isSession) await ports.home.claim(key);
			standing.push(key);
		} catch (error) {
			refuse(key, error);
		}
	});
	await ports.connections.follow(meta, standing);
	const left: string[] = [];
	// After the rows: a claim elsewhere is either seen here, or its record finds rows to evict.
	await forEachBounded([...sessions], SUBSCRIBE_CONCURRENCY, async (key) => {
		try {
			if (await ports.home.keep(key)) return;
			refused.push([key, MOVED]);
		} catch (error) {
			refuse(key, error);
		}
		left.push(key);
	});
	await ports.connections.unfollow(meta.id, left);
	const ends: [string, Position][] = [];
	const kept = standing.filter((key) => !left.includes(key));
	await forEachBounded(kept, SUBSCRIBE_CONCURRENCY, async (key) => {
		ends.push([key, await ports.log.end(key)]);
	});
	return encodeServerFrame({ t: "subscribed", ref, region: ports.region, ends, refused });
}

async function serve(ports: FramePorts, meta: ConnectionMeta, frame: ClientFrame): Promise<string> {
	const { ref } = frame;
	switch (frame.action) {
		case "ping":
			return encodeServerFrame({ t: "pong", ref });
		case "subscribe":
			return subscribe(ports, meta, frame);
		case "unsubscribe":
			await ports.connections.unfollow(meta.id, [...new Set(frame.channels)]);
			return encodeServerFrame({ t: "unsubscribed", ref });
		case "read": {
			if (meta.api !== "client") throw new FanoutError("Unsupported", "back ends read the log table themselves");
			const { key } = checkChannel(ports, meta, frame.channel);
			await ports.connections.countRead(meta);
			const page = await ports.log.rows(key, frame.from, frame.limit);
			return encodePage({ ref, channel: key, ...page });
		}
		case "renew": {
			if (meta.api !== "client" || meta.claims === undefined) throw new FanoutError("Unsupported", "nothing to renew");
			const claims = await verifyTicket(await ports.key(), frame.ticket, ports);
			const isSame = claims.principal === meta.claims.principal && claims.tenant === meta.claims.tenant;
			if (!isSame) throw new FanoutError("TicketInvalid", "a renewed ticket is for the same principal and tenant");
			await ports.connections.renew(meta, claims);
			return encodeServerFrame({ t: "renewed", ref, expiresAt: claims.expiresAt });
		}
	}
}

/** The frame to post back. */
export async function answerFrame(ports: FramePorts, meta: ConnectionMeta, text: string): Promise<string> {
	let ref: number | undefined;
	try {
		const frame = decodeClientFrame(text);
		ref = frame.ref;
		return await serve(ports, meta, frame);
	} catch (error) {
		ref ??= refOf(text);
		const code = codeOf(error);
		// An error of ours may name tables; only what the package itself wrote for callers leaves the cell.
		const message = isFanoutError(error) ? error.message : "the cell could not serve this now";
		ports.report("frame refused", {
			connection: meta.id,
			code,
			error: asFanoutError(error, "TransportUnavailable", "").name,
		});
		return encodeServerFrame(ref === undefined ? { t: "error", code, message } : { t: "error", ref, code, message });
	}
}
