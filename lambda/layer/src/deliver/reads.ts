/**
 * Reads of many lanes as few requests: asks of one turn share a `transport.read`, at most a few of which are under
 * way at once, each under a deadline. A thousand client streams that come back together wait here, not in the broker.
 * Parts of the log may fail or hang, others answer: of those without a page when a request fails all but one are asked
 * once more, each alone; and a request that takes long lets others begin, of which there are as many as the deadline has
 * room for.
 */
import type { Clock, Timer } from "../core/clock.ts";
import { withDeadline } from "../core/deadline.ts";
import { FanoutError } from "../core/errors.ts";
import type { Ask, Page, Transport } from "../core/transport.ts";

export interface ReadLimits {
	/** Asks in one request. */
	readonly asks: number;
	/** Requests under way at once, but for those that take longer than `slowMs`. */
	readonly concurrency: number;
	readonly slowMs: number;
	/** Deadline of one request. */
	readonly timeoutMs: number;
	/** Asks that may wait; beyond it a read is refused. */
	readonly waiting: number;
}

export const DEFAULT_READS: ReadLimits = { asks: 64, concurrency: 4, slowMs: 500, timeoutMs: 5_000, waiting: 100_000 };

interface Waiting {
	readonly ask: Ask;
	/** It had no page when another failed. */
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
			const alone = this.#waiting.findIndex(({ isAgain }) => isAgain);
			const batch = this.#waiting.splice(0, alone < 0 ? this.#limits.asks : Math.min(alone || 1, this.#limits.asks));
			this.#under += 1;
			this.#turn(batch).finally(() => {
				this.#under -= 1;
				this.#pump();
			});
		}
	}

	/** Over with the request, or when it takes long. */
	async #turn(batch: readonly Waiting[]): Promise<void> {
		let timer: Timer | undefined;
		const slow = new Promise<void>((resolve) => {
			timer = this.#clock.after(this.#limits.slowMs, resolve);
		});
		await Promise.race([this.#request(batch), slow]);
		timer?.cancel();
	}

	async #request(batch: readonly Waiting[]): Promise<void> {
		const left = [...batch];
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
						const at = left.findIndex(({ ask }) => ask.channel.key === page.channel.key);
						if (at >= 0) left.splice(at, 1)[0]?.resolve(page);
					}
				},
				this.#stop.signal,
			);
			if (left.length === 0) return;
			throw new FanoutError("TransportRefused", `${this.#transport.place} answered fewer pages than asked`);
		} catch (error) {
			const [failed, ...others] = left.splice(0);
			failed?.reject(error);
			if (this.#stop.signal.aborted) for (const { reject } of others) reject(error);
			else this.#waiting.push(...others.map((one) => Object.assign(one, { isAgain: true })));
			this.#pump();
		}
	}
}
