/**
 * Reads of many lanes as few requests: asks of one turn share a `transport.read`, at most a few of which are under
 * way at once, each under a deadline. A thousand client streams that come back together wait here, not in the broker.
 * Pages come in the order of the asks, so the first without one is what failed: those behind it are asked once more,
 * each alone, since they may be of parts of the log that answer.
 */
import type { Clock } from "../core/clock.ts";
import { withDeadline } from "../core/deadline.ts";
import { FanoutError } from "../core/errors.ts";
import type { Ask, Page, Transport } from "../core/transport.ts";

export interface ReadLimits {
	/** Asks in one request. */
	readonly asks: number;
	/** Requests under way at once. */
	readonly concurrency: number;
	/** Deadline of one request. */
	readonly timeoutMs: number;
	/** Asks that may wait; beyond it a read is refused. */
	readonly waiting: number;
}

export const DEFAULT_READS: ReadLimits = { asks: 64, concurrency: 4, timeoutMs: 5_000, waiting: 100_000 };

interface Waiting {
	readonly ask: Ask;
	/** It stood behind one that failed. */
	isAgain?: boolean;
	resolve(page: Page): void;
	reject(error: unknown): void;
}

export class Reads {
	readonly #transport: Transport;
	readonly #clock: Clock;
	readonly #limits: ReadLimits;
	readonly #waiting: Waiting[] = [];
	readonly #stop = new AbortController();
	#under = 0;
	#scheduled = false;

	constructor(transport: Transport, clock: Clock, limits: ReadLimits = DEFAULT_READS) {
		this.#transport = transport;
		this.#clock = clock;
		this.#limits = limits;
	}

	read(ask: Ask): Promise<Page> {
		if (this.#stop.signal.aborted) return Promise.reject(new FanoutError("Closed", "the engine is closed"));
		if (this.#waiting.length >= this.#limits.waiting) {
			const { waiting } = this.#limits;
			return Promise.reject(
				new FanoutError("QueueFull", `${waiting} reads are waiting already`, { retryable: true, data: { waiting } }),
			);
		}
		return new Promise((resolve, reject) => {
			this.#waiting.push({ ask, resolve, reject });
			if (this.#scheduled) return;
			this.#scheduled = true;
			queueMicrotask(() => {
				this.#scheduled = false;
				this.#pump();
			});
		});
	}

	close(): void {
		const error = new FanoutError("Closed", "the engine is closed");
		this.#stop.abort(error);
		for (const { reject } of this.#waiting.splice(0)) reject(error);
	}

	#pump(): void {
		while (this.#under < this.#limits.concurrency && this.#waiting.length > 0) {
			const batch = this.#waiting.splice(0, this.#waiting[0]?.isAgain ? 1 : this.#limits.asks);
			this.#under += 1;
			this.#request(batch).finally(() => {
				this.#under -= 1;
				this.#pump();
			});
		}
	}

	async #request(batch: readonly Waiting[]): Promise<void> {
		let answered = 0;
		try {
			await withDeadline(
				this.#clock,
				this.#limits.timeoutMs,
				`a read from ${this.#transport.place}`,
				async (signal) => {
					for await (const page of this.#transport.read(
						batch.map(({ ask }) => ask),
						signal,
					)) {
						batch[answered]?.resolve(page);
						answered += 1;
					}
				},
				this.#stop.signal,
			);
			if (answered >= batch.length) return;
			throw new FanoutError("TransportRefused", `${this.#transport.place} answered fewer pages than asked`);
		} catch (error) {
			const [failed, ...behind] = batch.slice(answered);
			failed?.reject(error);
			if (this.#stop.signal.aborted) for (const { reject } of behind) reject(error);
			else this.#waiting.unshift(...behind.map((one) => Object.assign(one, { isAgain: true })));
		}
	}
}
