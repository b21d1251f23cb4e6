/**
 * Follows a bucket by sequence: a republished header wakes it, and it reads what stands behind its cursor. A wake-up
 * that was lost (a leader that died, a reconnect) costs one interval of looking anyway, and never a change. A bucket
 * whose sequence fell back has lost its past: the watcher is told.
 */
import type { StoredMsg } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import type { Clock, Timer } from "../core/clock.ts";
import type { Watch } from "./store.ts";

const LOOK_EVERY_MS = 2_000;
const BATCH = 256;

export interface Tail {
	readonly connection: NatsConnection;
	readonly clock: Clock;
	readonly subject: string;
	/** The bucket's last sequence. */
	last(): Promise<number>;
	after(seq: number, count: number): Promise<StoredMsg[]>;
	changed(message: StoredMsg): void;
	suspect(): void;
	report(error: unknown): void;
}

export async function watchTail(tail: Tail): Promise<Watch> {
	let cursor = 0;
	let running: Promise<void> | undefined;
	let again = false;
	let closed = false;
	let timer: Timer | undefined;

	async function read(checkEnd: boolean): Promise<void> {
		if (checkEnd) {
			const last = await tail.last();
			if (last < cursor && !closed) {
				cursor = last;
				tail.suspect();
			}
		}
		for (let count = BATCH; count === BATCH && !closed; ) {
			const messages = await tail.after(cursor, BATCH);
			count = messages.length;
			for (const message of messages) {
				if (closed) return;
				cursor = Math.max(cursor, message.seq);
				tail.changed(message);
			}
		}
	}

	/** One reading at a time; a wake-up during one makes another. */
	function wake(checkEnd = false): void {
		if (closed) return;
		if (running !== undefined) {
			again = true;
			return;
		}
		running = read(checkEnd)
			.catch((error: unknown) => {
				if (!closed) tail.report(error);
			})
			.finally(() => {
				running = undefined;
				if (!again) return;
				again = false;
				wake();
			});
	}

	function look(): void {
		timer = tail.clock.after(LOOK_EVERY_MS, () => {
			wake(true);
			if (!closed) look();
		});
	}

	const subscription = tail.connection.subscribe(tail.subject, { callback: () => wake() });
	try {
		cursor = await tail.last();
	} catch (error) {
		subscription.unsubscribe();
		throw error;
	}
	look();
	return {
		async close() {
			closed = true;
			timer?.cancel();
			if (!tail.connection.isClosed()) subscription.unsubscribe();
			// What is being read is not waited for: a server that hangs, or a connection that is closed, never answers it.
		},
	};
}
