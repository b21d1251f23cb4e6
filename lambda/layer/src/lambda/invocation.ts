/**
 * How long one invocation goes on. `signal` aborts when its lease is over, or when nobody reads the answer any more; a
 * grace after that, `cut` ends what is still being read. What was opened for it is closed by `close`, last first.
 */
import type { Clock, Timer } from "../core/clock.ts";
import { FanoutError } from "../core/errors.ts";
import { leaseOver } from "../core/lease.ts";

/** The share of the margin in which a response may end by itself. */
const GRACE_SHARE = 0.25;

export class Invocation {
	readonly #clock: Clock;
	readonly #graceMs: number;
	readonly #life = new AbortController();
	readonly #cut = new AbortController();
	readonly #closers: (() => unknown)[] = [];
	readonly #startedAt: number;
	#leaseMs: number;
	/** Node forgets a request's signal with the request itself, whoever still listens to it. */
	request: Request | undefined;
	#isLease = false;
	#isGone = false;
	#timer: Timer;

	constructor(clock: Clock, remainingMs: number, marginMs: number) {
		this.#clock = clock;
		this.#graceMs = marginMs * GRACE_SHARE;
		this.#startedAt = clock.monotonic();
		this.#leaseMs = Math.max(remainingMs - marginMs, 1);
		this.#timer = this.#wait(this.#leaseMs);
	}

	get signal(): AbortSignal {
		return this.#life.signal;
	}

	get cut(): AbortSignal {
		return this.#cut.signal;
	}

	/** A response had not ended in time; a held stream is expected not to. */
	get wasCut(): boolean {
		return this.#cut.signal.aborted && !this.#isLease && !this.#isGone;
	}

	/** Holds a stream from now on, for so long at most. */
	lease(maxMs: number): void {
		this.#isLease = true;
		const leftMs = this.#leaseMs - (this.#clock.monotonic() - this.#startedAt);
		if (maxMs >= leftMs) return;
		this.#leaseMs = Math.max(maxMs, 1);
		this.#timer.cancel();
		this.#timer = this.#wait(this.#leaseMs);
	}

	/** Nobody takes the answer any more. */
	gone(): void {
		this.#isGone = true;
		this.#life.abort(new FanoutError("Aborted", "nobody reads the answer"));
		this.#cut.abort();
	}

	late(what: string): FanoutError {
		return new FanoutError("DeadlineExceeded", `${what} after ${this.#leaseMs} ms`, {
			data: { timeoutMs: this.#leaseMs },
		});
	}

	/** Rejects when the lease is over before `work` is done. */
	race<T>(work: Promise<T>): Promise<T> {
		const { signal } = this.#life;
		return new Promise((resolve, reject) => {
			const fail = () => reject(this.late("no response"));
			signal.addEventListener("abort", fail, { once: true });
			work.then(resolve, reject).finally(() => signal.removeEventListener("abort", fail));
		});
	}

	onClose(closer: () => unknown): void {
		this.#closers.push(closer);
	}

	/** No timer is left. */
	stop(): void {
		this.#timer.cancel();
	}

	async close(): Promise<void> {
		for (const closer of this.#closers.splice(0).reverse()) await closer();
	}

	#wait(ms: number): Timer {
		return this.#clock.after(ms, () => {
			this.#timer = this.#clock.after(this.#graceMs, () => this.#cut.abort());
			this.#life.abort(leaseOver(this.#leaseMs));
		});
	}
}
