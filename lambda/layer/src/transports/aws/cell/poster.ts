/**
 * Posts frames to connections. A connection that is gone loses its rows; one that cannot be served is told why, if
 * it still can be, and closed, so that it resumes from where it is. Nothing about a connection is ever thrown: a
 * message that is in the log must not be held back for the others by one reader.
 */
import { type Clock, pause } from "../../../core/clock.ts";
import { withDeadline } from "../../../core/deadline.ts";
import { aws, isAwsError, type ManagementClient } from "../sdk.ts";
import { type EndReason, encodeServerFrame } from "../wire.ts";
import type { Connection, Connections } from "./connections.ts";

export const POST_TIMEOUT_MS = 2_000;
export const POST_RETRY_MS: readonly number[] = [50, 200];
/** Connections posted to at the same time, per invocation. */
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
	readonly report: Reports;
}

export type PostResult = "posted" | "gone" | "ended";

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

async function postOne(ports: PostPorts, connection: Connection, frame: string): Promise<void> {
	for (let attempt = 0; ; attempt += 1) {
		try {
			await withDeadline(ports.clock, POST_TIMEOUT_MS, "a post to a connection", (signal) =>
				ports.poster.post(connection, frame, signal),
			);
			return;
		} catch (error) {
			const waitMs = POST_RETRY_MS[attempt];
			if (isGone(error) || waitMs === undefined) throw error;
			await pause(ports.clock, waitMs);
		}
	}
}

async function removeRows(ports: PostPorts, { id }: Connection): Promise<void> {
	try {
		await ports.connections.remove(id);
	} catch (error) {
		// Its rows expire by themselves, and the next post to it comes here again.
		ports.report("connection rows were not removed", { connection: id, error: nameOf(error) });
	}
}

/** Tells the connection why, closes it and removes its rows. */
export async function endConnection(ports: PostPorts, connection: Connection, reason: EndReason): Promise<void> {
	const steps = [
		(signal: AbortSignal) => ports.poster.post(connection, encodeServerFrame({ t: "end", reason }), signal),
		(signal: AbortSignal) => ports.poster.close(connection, signal),
	];
	for (const step of steps) {
		try {
			await withDeadline(ports.clock, POST_TIMEOUT_MS, "ending a connection", step);
		} catch (error) {
			if (!isGone(error))
				ports.report("connection was not ended cleanly", { connection: connection.id, error: nameOf(error) });
		}
	}
	await removeRows(ports, connection);
}

/** Posts frames in order; resolves whatever happens. */
export async function postFrames(
	ports: PostPorts,
	connection: Connection,
	frames: readonly string[],
): Promise<PostResult> {
	try {
		for (const frame of frames) await postOne(ports, connection, frame);
		return "posted";
	} catch (error) {
		if (isGone(error)) {
			await removeRows(ports, connection);
			return "gone";
		}
		ports.report("connection cannot be served", { connection: connection.id, error: nameOf(error) });
		await endConnection(ports, connection, isAwsError(error, "LimitExceededException") ? "slow-consumer" : "gap");
		return "ended";
	}
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
