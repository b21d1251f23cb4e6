/**
 * Follows a bucket by sequence: a republished header wakes it, and it reads what stands behind its cursor. A wake-up
 * that was lost (a leader that died, a reconnect) costs one interval of looking anyway, and never a change. A bucket
 * that was made anew, or whose sequence fell back, has lost its past: the watcher is told.
 */
import type { NatsConnection } from "@nats-io/transport-node";
import type { Clock, Timer } from "../core/clock.ts";
import type { Batch } from "./nats-batch.ts";
import type { Watch } from "./store.ts";

const LOOK_EVERY_MS = 2_000;

/** The bucket's last sequence, and when it was made. */
export interface BucketEnd {
	readonly made: string;
	readonly seq: number;
}

export interface Tail {
	readonly connection: NatsConnection;
	readonly clock: Clock;
	readonly subject: string;
	end(): Promise<BucketEnd>;
	after(seq: number): Promise<Batch>;
	changed(subject: string): void;
	suspect(): void;
	report(error: unknown): void;
}

export async function watchTail(tail: Tail): Promise<Watch> {
	let cursor = 0;
	let made = "";
	let running: Promise<void> | undefined;
	let again = false;
	let closed = false;
	let timer: Timer | undefined;

	async function read(checkEnd: boolean): Promise<void> {
		if (checkEnd) {
			const end = await tail.end();
			if ((end.made !== made || end.seq < cursor) && !closed) {
				({ made, seq: cursor } = end);
				tail.suspect();
			}
		}
		for (let left = 1; left > 0 && !closed; ) {
			const { messages, pending } = await tail.after(cursor);
			for (const { seq, subject } of messages) {
				if (closed) return;
				cursor = Math.max(cursor, seq);
				tail.changed(subject);
			}
			left = messages.length > 0 ? pending : 0;
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
		({ made, seq: cursor } = await tail.end());
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
