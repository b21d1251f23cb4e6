/**
 * The offers of one publisher that are under way, each with a deadline; all of them can be aborted at once. One timer
 * looks after all deadlines, and outlives the last offer by a moment: made and cancelled for each, it costs more than
 * an offer does.
 */
import type { Clock, Timer } from "../core/clock.ts";
import { FanoutError } from "../core/errors.ts";

/** How long the timer may stay when nothing is under way any more. */
const SWEEP_MS = 50;

interface UnderWay {
	readonly what: string;
	readonly timeoutMs: number;
	readonly deadline: number;
	/** Where it stands among those that are under way. */
	place: number;
	fail(error: FanoutError): void;
}

export class Offers {
	readonly #clock: Clock;
	/** In no order, and in no set: publisher.ts says why. */
	readonly #underWay: UnderWay[] = [];
	#timer: Timer | undefined;
	#sweepAt = 0;
	#reason: FanoutError | undefined;

	constructor(clock: Clock) {
		this.#clock = clock;
	}

	get isAborted(): boolean {
		return this.#reason !== undefined;
	}

	/** Settles at the deadline or the abort, even when the task ignores its signal; none begins after the abort. */
	run<T>(timeoutMs: number, what: string, task: (signal: AbortSignal) => Promise<T>): Promise<T> {
		return new Promise((resolve, reject) => {
			if (this.#reason !== undefined) throw aborted(what, this.#reason);
			const controller = new AbortController();
			const work = task(controller.signal);
			const deadline = this.#clock.monotonic() + timeoutMs;
			const fail = (error: FanoutError) => {
				reject(error);
				controller.abort(error);
			};
			const offer = { what, timeoutMs, deadline, place: this.#underWay.length, fail };
			this.#underWay.push(offer);
			work.then(
				(outcome) => {
					this.#remove(offer);
					resolve(outcome);
				},
				(error) => {
					this.#remove(offer);
					reject(error);
				},
			);
			if (this.#reason !== undefined) this.#end(offer, aborted(what, this.#reason));
			else this.#arm(deadline);
		});
	}

	abort(reason: FanoutError): void {
		this.#reason = reason;
		this.#timer?.cancel();
		this.#timer = undefined;
		for (const offer of [...this.#underWay]) this.#end(offer, aborted(offer.what, reason));
	}

	/** After an abort: more may come. */
	admit(): void {
		this.#reason = undefined;
	}

	#arm(deadline: number): void {
		if (this.#timer !== undefined && this.#sweepAt <= deadline) return;
		this.#timer?.cancel();
		const now = this.#clock.monotonic();
		this.#sweepAt = Math.min(deadline, now + SWEEP_MS);
		// Somebody awaits this: a process with nothing else to do must live to hear of it.
		this.#timer = this.#clock.after(this.#sweepAt - now, () => this.#sweep(), true);
	}

	#sweep(): void {
		this.#timer = undefined;
		const now = this.#clock.monotonic();
		let next = Number.POSITIVE_INFINITY;
		for (const offer of [...this.#underWay]) {
			const { what, timeoutMs, deadline } = offer;
			if (deadline > now) next = Math.min(next, deadline);
			else {
				const message = `${what} took longer than ${timeoutMs} ms`;
				this.#end(offer, new FanoutError("DeadlineExceeded", message, { retryable: true, data: { timeoutMs } }));
			}
		}
		if (next < Number.POSITIVE_INFINITY) this.#arm(next);
	}

	#end(offer: UnderWay, error: FanoutError): void {
		this.#remove(offer);
		offer.fail(error);
	}

	/** The last takes its place. */
	#remove(offer: UnderWay): void {
		const underWay = this.#underWay;
		if (underWay[offer.place] !== offer) return;
		const last = underWay.pop() as UnderWay;
		if (last === offer) return;
		underWay[offer.place] = last;
		last.place = offer.place;
	}
}

/** It says nothing of what was offered: that may be offered again. */
function aborted(what: string, cause: FanoutError): FanoutError {
	return new FanoutError("Aborted", `${what} was aborted`, { cause, retryable: true });
}
