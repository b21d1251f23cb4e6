/**
 * Posts frames to connections, while the invocation's round lasts. A connection that is gone loses its rows; one that
 * cannot be served is told why, if it still can be, and closed, so that it resumes from where it is. One that was
 * refused with the others, or that the round had no time for, is left as it is. Nothing about a connection is ever
 * thrown: a message that is in the log must not be held back for the others by one reader.
 */
import { type BackoffLimits, fullJitter } from "../../../core/backoff.ts";
import { type Clock, pause } from "../../../core/clock.ts";
import { withDeadline } from "../../../core/deadline.ts";
import { aws, isAwsError, type ManagementClient } from "../sdk.ts";
import { type EndReason, encodeServerFrame } from "../wire.ts";
import type { Connection, Connections, Follower } from "./connections.ts";
import { type PostRound, shuffled } from "./round.ts";

export const POST_TIMEOUT_MS = 2_000;
export const POST_RETRY_MS: readonly number[] = [50, 200];
/** What API Gateway refuses is offered longer: a burst over the account's limit, or its own failure, is over after seconds. */
export const REFUSED_BACKOFF: BackoffLimits = { baseMs: 100, capMs: 2_000 };
export const REFUSED_ATTEMPTS = 8;
/** What ending a connection may take of the round: a last frame, and the close. */
const END_MS = 2 * POST_TIMEOUT_MS;
/** Connections posted to at the same time, per group. */
export const POST_CONCURRENCY = 64;

/** The @connections calls of one connection; throws as AWS does. */
export interface Poster {
	post(connection: Connection, frame: string, signal: AbortSignal): Promise<void>;
	close(connection: Connection, signal: AbortSignal): Promise<void>;
}

/** Something that was handled, for the operator: ids, counts and codes only. */
export type Reports = (what: string, detail: Readonly<Record<string, unknown>>) => void;

export interface PostPorts {
	readonly poster: Poster;
	readonly connections: Pick<Connections, "remove">;
	readonly clock: Clock;
	/** A number in [0, 1). */
	readonly random: () => number;
	readonly round: PostRound;
	readonly report: Reports;
}

/** `unposted`: not served, and not to blame: it stays, and finds its gap by the next entry's `prev` or a log's end. */
export type PostResult = "posted" | "gone" | "ended" | "unposted";

export function createPoster(clientOf: (api: Connection["api"]) => ManagementClient): Poster {
	return {
		async post({ id, api }, frame, abortSignal) {
			const command = new aws.management.PostToConnectionCommand({ ConnectionId: id, Data: Buffer.from(frame) });
			await clientOf(api).send(command, { abortSignal });
		},
		async close({ id, api }, abortSignal) {
			const command = new aws.management.DeleteConnectionCommand({ ConnectionId: id });
			await clientOf(api).send(command, { abortSignal });
		},
	};
}

const isGone = (error: unknown): boolean => isAwsError(error, "GoneException");
const nameOf = (error: unknown): string => (error instanceof Error ? error.name : "unknown");

const isThrottle = (error: unknown): boolean =>
	isAwsError(error, "LimitExceededException") || isAwsError(error, "TooManyRequestsException");

/** May be no fault of the connection's: a throttle, or a failure of API Gateway's own. */
function isRefusal(error: unknown): boolean {
	const { $metadata } = error as { readonly $metadata?: { readonly httpStatusCode?: number } };
	return isThrottle(error) || ($metadata?.httpStatusCode ?? 0) >= 500;
}

/** The wait before the next attempt; undefined when there is none. */
function waitAfter(ports: PostPorts, error: unknown, failures: number, refusals: number): number | undefined {
	if (!isRefusal(error)) return POST_RETRY_MS[failures - 1];
	return refusals === REFUSED_ATTEMPTS ? undefined : fullJitter(refusals - 1, REFUSED_BACKOFF, ports.random);
}

async function postOne(ports: PostPorts, connection: Connection, frame: string): Promise<"posted" | "unposted"> {
	const { clock, round } = ports;
	const since = round.mark();
	for (let failures = 0, refusals = 0; ; ) {
		await round.turn();
		if (round.left() <= 0) return "unposted";
		try {
			await withDeadline(clock, Math.min(POST_TIMEOUT_MS, round.left()), "a post to a connection", (signal) =>
				ports.poster.post(connection, frame, signal),
			);
			round.posted(connection.id);
			return "posted";
		} catch (error) {
			if (isGone(error)) throw error;
			if (isRefusal(error)) {
				refusals += 1;
				round.refused(connection.id);
			} else failures += 1;
			const waitMs = waitAfter(ports, error, failures, refusals);
			// Ended only while there is time to tell it; the others' fate decides whether a refusal was its own.
			const isOver = round.left() <= (waitMs ?? END_MS);
			if (isOver) return "unposted";
			if (waitMs !== undefined) await pause(clock, waitMs, undefined, true);
			else if (isRefusal(error) && !round.isAlone(connection.id, since)) return "unposted";
			else throw error;
		}
	}
}

async function removeRows(ports: PostPorts, { id }: Connection): Promise<void> {
	try {
		await withDeadline(ports.clock, POST_TIMEOUT_MS, "forgetting a connection", () => ports.connections.remove(id));
	} catch (error) {
		// Its rows expire by themselves, and the next post to it comes here again.
		ports.report("connection rows were not removed", { connection: id, error: nameOf(error) });
	}
}

/**
 * Tells the connection why, closes it and removes its rows. Not those of one that could not be closed: it is connected
 * still, and without them would hear nothing more, where the fault may be this function's own. False then.
 */
export async function endConnection(ports: PostPorts, connection: Connection, reason: EndReason): Promise<boolean> {
	const attempt = async (step: (signal: AbortSignal) => Promise<void>): Promise<boolean> => {
		try {
			await withDeadline(ports.clock, POST_TIMEOUT_MS, "ending a connection", step);
			return true;
		} catch (error) {
			if (isGone(error)) return true;
			ports.report("connection was not ended cleanly", { connection: connection.id, error: nameOf(error) });
			return false;
		}
	};
	await attempt((signal) => ports.poster.post(connection, encodeServerFrame({ t: "end", reason }), signal));
	const isClosed = await attempt((signal) => ports.poster.close(connection, signal));
	if (isClosed) await removeRows(ports, connection);
	return isClosed;
}

/** Posts frames in order; resolves whatever happens. */
export async function postFrames(
	ports: PostPorts,
	connection: Connection,
	frames: readonly string[],
): Promise<PostResult> {
	try {
		for (const frame of frames) {
			if ((await postOne(ports, connection, frame)) === "unposted") return "unposted";
		}
		return "posted";
	} catch (error) {
		if (isGone(error)) {
			await removeRows(ports, connection);
			return "gone";
		}
		ports.report("connection cannot be served", { connection: connection.id, error: nameOf(error) });
		const isEnded = await endConnection(ports, connection, isThrottle(error) ? "slow-consumer" : "gap");
		return isEnded ? "ended" : "unposted";
	}
}

export interface PostTally {
	posts: number;
	ended: number;
	/** Followers that the round had no time for, that were refused with the others, or that could not even be closed. */
	unposted: number;
}

/**
 * Ends with the round, served or not: the rows are in the log, where those left out find them (`prev`, ends), and
 * a batch that came again would post to the same stuck connections first. Hence also the order of chance.
 */
export async function postAll(
	ports: PostPorts,
	frames: readonly string[],
	followers: readonly Follower[],
	tally: PostTally,
): Promise<void> {
	const before = tally.unposted;
	await forEachBounded(shuffled(followers, ports.random), POST_CONCURRENCY, async (follower) => {
		if (ports.round.left() <= (follower.isExpired ? END_MS : 0)) tally.unposted += 1;
		else if (follower.isExpired) tally[(await endConnection(ports, follower, "expired")) ? "ended" : "unposted"] += 1;
		else {
			const result = await postFrames(ports, follower, frames);
			if (result === "posted") tally.posts += frames.length;
			else if (result !== "gone") tally[result] += 1;
		}
	});
	const unposted = tally.unposted - before;
	if (unposted > 0) ports.report("followers were not posted to", { unposted, followers: followers.length });
}

/** Runs a task for each item, a bounded number at the same time. */
export async function forEachBounded<T>(
	items: readonly T[],
	limit: number,
	task: (item: T) => Promise<void>,
): Promise<void> {
	const rest = items[Symbol.iterator]();
	const work = async () => {
		for (const item of rest) await task(item);
	};
	await Promise.all(Array.from({ length: Math.min(limit, items.length) }, work));
}
