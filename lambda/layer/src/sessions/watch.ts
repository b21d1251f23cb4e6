/**
 * Watching: the backend says which session changed, the record is read then, so that what is told is what stands.
 * Changes of one session that wait are one. What waits is bounded: beyond it the listener is told to list again.
 */
import type { Channel } from "../core/channel.ts";
import type { Clock } from "../core/clock.ts";
import { withDeadline } from "../core/deadline.ts";
import { asFanoutError, type FanoutError } from "../core/errors.ts";
import type { ChangeListener } from "./port.ts";
import { decodeSession } from "./record.ts";
import type { Scope, Store, Watch } from "./store.ts";

export const MAX_CHANGES_WAITING = 10_000;
const READERS = 8;

export interface WatchDeps {
	readonly store: Store;
	readonly clock: Clock;
	readonly timeoutMs: number;
	readonly report: (error: FanoutError) => void;
}

export async function watchRecords(
	{ store, clock, timeoutMs, report }: WatchDeps,
	scope: Scope,
	listener: ChangeListener,
	signal: AbortSignal,
): Promise<Watch> {
	const waiting = new Map<string, Channel>();
	const reading = new Set<string>();
	const stop = new AbortController();

	function tell(what: () => void): void {
		if (stop.signal.aborted) return;
		try {
			what();
		} catch (error) {
			report(asFanoutError(error, "Aborted", "a listener of the session registry threw"));
		}
	}

	async function read(session: Channel): Promise<void> {
		try {
			const task = (inner: AbortSignal) => store.read(session, inner);
			const row = await withDeadline(clock, timeoutMs, "reading a changed session", task, stop.signal);
			const record = row && decodeSession(row.text, row.version);
			tell(() => listener.change({ session, record }));
		} catch (error) {
			if (stop.signal.aborted) return;
			report(asFanoutError(error, "TransportUnavailable", "a changed session cannot be read", true));
			tell(() => listener.suspect());
		}
	}

	function pump(): void {
		for (const [key, session] of waiting) {
			if (reading.size >= READERS || stop.signal.aborted) return;
			// One that is being read was maybe read before this change: it is read again afterwards.
			if (reading.has(key)) continue;
			waiting.delete(key);
			reading.add(key);
			void read(session).finally(() => {
				reading.delete(key);
				pump();
			});
		}
	}

	const watch = await store.watch(
		scope,
		{
			changed(session) {
				if (waiting.size >= MAX_CHANGES_WAITING && !waiting.has(session.key)) {
					waiting.clear();
					tell(() => listener.suspect());
				}
				waiting.set(session.key, session);
				pump();
			},
			suspect: () => tell(() => listener.suspect()),
		},
		signal,
	);
	async function close(): Promise<void> {
		stop.abort();
		waiting.clear();
		await watch.close();
	}
	// Whoever asked has given up by now: nobody else could close it.
	if (signal.aborted) await close();
	signal.throwIfAborted();
	return { close };
}
