/**
 * One channel's publisher queue on one transport: at most one batch in flight; what queues meanwhile is the next
 * batch, and a retry pauses the channel, so envelopes enter the lane in call order (P2). States:
 *
 *   idle --publish--> sending --answered--> idle | sending;  sending --refused for now--> pausing --backed off--> sending
 *   any --gate shut--> waiting --gate admits--> sending
 *
 * An envelope waits at most until its deadline, and not at all while the gate is shut. Then it fails; or, with an
 * outbox that has room, its publisher hears `queued` and it stays where it stands: the queue itself is the outbox, so
 * order needs no second mechanism. What is kept is always in front of what is waited for.
 */
import { fullJitter } from "../core/backoff.ts";
import type { Channel } from "../core/channel.ts";
import { pause } from "../core/clock.ts";
import type { Envelope } from "../core/envelope.ts";
import { FanoutError } from "../core/errors.ts";
import type { Gate } from "../core/gate.ts";
import type { Term } from "../core/pending.ts";
import type { Item, LaneOutcome } from "./item.ts";
import { markUncertain, offerBatch } from "./offer.ts";
import type { QueueHost } from "./queue-host.ts";
import { verdictOf } from "./verdict.ts";

const DEFAULT_RETRY = { baseMs: 25, capMs: 1_000 } as const;

/** What was kept has time: it goes out in smaller batches, so that what is live finds turns between them. */
const MAX_KEPT_BATCH = 20;

export class ChannelQueue {
	readonly #channel: Channel;
	readonly #host: QueueHost;
	#items: Item[] = [];
	#inFlight: readonly Item[] = [];
	#flight: Promise<unknown> | undefined;
	/** How many are waited for. */
	#waiting = 0;
	/** What was published up to here is kept; who publishes before it has passed queues behind it. Monotonic. */
	#keptUntil = Number.NEGATIVE_INFINITY;
	#running = false;

	constructor(channel: Channel, host: QueueHost) {
		this.#channel = channel;
		this.#host = host;
	}

	/** Nothing is queued or in flight. */
	get isIdle(): boolean {
		return !this.#running && this.#items.length === 0;
	}

	/** Settles with the offer that is under way, if one is. */
	get flight(): Promise<unknown> | undefined {
		return this.#flight;
	}

	/** Never rejects: a failure is an outcome. */
	push(envelope: Envelope, bytes: number, term: Term): Promise<LaneOutcome> {
		return new Promise((resolve) => {
			const { clock, timeoutMs, gate, outbox, isShut, isLate } = this.#host;
			const since = clock.monotonic();
			const waiting = { term, resolve };
			const item: Item = { envelope, bytes, since, deadline: since + timeoutMs, uncertainSince: undefined, waiting };
			const isBehind = (this.#items[0]?.since ?? Number.POSITIVE_INFINITY) <= this.#keptUntil;
			this.#items.push(item);
			this.#waiting += 1;
			// A probe may take its deadline: with an outbox nobody has to wait for it.
			const isProbed = gate !== undefined && gate.state !== "closed";
			const isSuspect = isShut || (outbox !== undefined && (isProbed || isLate));
			if (isSuspect) this.#keptUntil = since;
			if ((isSuspect || isBehind) && !this.#keep(item, this.#shutError())) this.#items.pop();
			if (this.#running) return;
			if (this.#items.length === 0) {
				this.#host.idle(this.#channel);
				return;
			}
			this.#running = true;
			this.#run();
		});
	}

	/** Puts back what another process kept, in front of everything: before anything else is pushed. */
	restore(item: Item): void {
		this.#items.push(item);
		this.#keptUntil = this.#host.clock.monotonic();
		if (this.#running) return;
		this.#running = true;
		this.#run();
	}

	/** Nobody waits any longer: what can be kept is kept, all else fails. */
	giveUp(error: FanoutError): void {
		this.#keptUntil = this.#host.clock.monotonic();
		// What is in flight may be taken all the same.
		markUncertain(this.#inFlight, this.#keptUntil);
		this.#items = this.#items.filter((item) => item.waiting === undefined || this.#keep(item, error));
	}

	async #run(): Promise<void> {
		const { stop } = this.#host;
		for (let attempt = 0; this.#items.length > 0; ) {
			let error: FanoutError | undefined;
			if (this.#host.isShut && !stop.aborted) await this.#host.opened();
			else if (!stop.aborted) {
				const { gate } = this.#host;
				const offer = gate === undefined ? this.#send() : this.#offer(gate);
				this.#flight = offer;
				error = await offer;
				this.#flight = undefined;
			}
			// A gate that shut is waited for; it is not what its last error says of one envelope.
			if (error === undefined || this.#host.isShut) attempt = 0;
			else if (error.retryable || stop.aborted) await this.#pause(attempt++);
			else this.#remove(1, error);
			this.#expire(error);
		}
		// In the turn that found nothing left: who publishes in the next one must find it idle.
		this.#running = false;
		this.#host.idle(this.#channel);
	}

	/** The first envelopes that fit one batch; always at least one. */
	#batch(): Item[] {
		const { count, bytes } = this.#host.transport.capabilities.batch;
		const most = this.#items[0]?.waiting === undefined ? Math.min(count, MAX_KEPT_BATCH) : count;
		let size = 0;
		let taken = 0;
		for (const item of this.#items) {
			size += item.bytes;
			if (taken > 0 && (taken >= most || size > bytes)) break;
			taken += 1;
		}
		return this.#items.slice(0, taken);
	}

	/** Offers a batch through the gate. */
	async #offer(gate: Gate): Promise<FanoutError | undefined> {
		let error: FanoutError | undefined;
		await gate.offer(async () => {
			const isProbe = gate.state !== "closed";
			error = await this.#send();
			const isRetriedInTime = !isProbe && this.#waiting > 0 && this.#timeLeft() > this.#lastChanceMs;
			return this.#host.offers.isAborted || (error?.retryable && isRetriedInTime) ? "neutral" : verdictOf(error);
		});
		return error;
	}

	/** Offers a batch and settles what was taken; why the first that was not stays at the head. */
	async #send(): Promise<FanoutError | undefined> {
		const batch = this.#batch();
		this.#inFlight = batch;
		const { taken, error } = await offerBatch(this.#host, this.#channel, batch, this.#timeLeft());
		this.#inFlight = [];
		// Some may have been given up meanwhile; those that are left are still in front.
		let left = 0;
		for (const [index, outcome] of taken.entries()) if (this.#settle(batch[index] as Item, outcome)) left += 1;
		this.#items.splice(0, left);
		return error;
	}

	/** A failure counts against the target when no retry may undo it before somebody's deadline. */
	get #lastChanceMs(): number {
		return Math.min(DEFAULT_RETRY.capMs, this.#host.timeoutMs / 4);
	}

	/** Until the first who waits hears something. */
	#timeLeft(): number {
		const first = this.#waiting === 0 ? undefined : this.#items.find(({ waiting }) => waiting !== undefined);
		return first === undefined ? this.#host.timeoutMs : Math.max(0, first.deadline - this.#host.clock.monotonic());
	}

	/** Fails or keeps what waited for too long; drops what was kept for too long, or everything after the close. */
	#expire(last: FanoutError | undefined): void {
		const { clock, stop, transport, outbox } = this.#host;
		if (stop.aborted) {
			const message = "the publisher was closed before a lane accepted";
			this.#remove(this.#items.length, new FanoutError("Closed", message, { cause: last }));
			return;
		}
		const now = clock.monotonic();
		const why = last === undefined ? "" : `: ${last.message}`;
		if (outbox !== undefined) {
			const oldest = now - outbox.maxAgeMs;
			const old = this.#items.findIndex(({ waiting, since }) => waiting !== undefined || since >= oldest);
			const message = `${transport.place} did not accept within ${outbox.maxAgeMs} ms${why}`;
			const count = old < 0 ? this.#items.length : old;
			if (count > 0) this.#remove(count, new FanoutError("DeadlineExceeded", message, { cause: last }));
		}
		if (this.#waiting === 0 || this.#timeLeft() > 0) return;
		const message = `${transport.place} did not accept before the deadline${why}`;
		const error = new FanoutError("DeadlineExceeded", message, { cause: last, retryable: true });
		if (outbox !== undefined) {
			this.giveUp(error);
			return;
		}
		const due = this.#items.findIndex(({ deadline }) => deadline > now);
		this.#remove(due < 0 ? this.#items.length : due, error);
	}

	/** Takes the first ones out: refused. */
	#remove(count: number, error: FanoutError): void {
		for (const item of this.#items.splice(0, count)) {
			this.#settle(item, { ok: false, uncertain: item.uncertainSince !== undefined, error });
		}
	}

	/** Tells its publisher that it is kept, or that there is no room. */
	#keep(item: Item, why: FanoutError): boolean {
		const { outbox } = this.#host;
		const uncertain = item.uncertainSince !== undefined;
		const isKept = outbox?.keep(item) ?? false;
		const error = isKept ? why : (outbox?.full(why) ?? why);
		this.#tell(item, isKept ? { ok: false, queued: true, uncertain, error } : { ok: false, uncertain, error });
		item.isGone = !isKept;
		return isKept;
	}

	/** False for one that was out already. */
	#settle(item: Item, outcome: LaneOutcome): boolean {
		const { outbox } = this.#host;
		if (item.isGone) return false;
		item.isGone = true;
		if (item.waiting !== undefined) this.#tell(item, outcome);
		else if (outcome.ok) outbox?.release(item);
		else outbox?.drop(item, outcome.error);
		return true;
	}

	#tell(item: Item, outcome: LaneOutcome): void {
		if (item.waiting === undefined) return;
		const { term, resolve } = item.waiting;
		item.waiting = undefined;
		this.#waiting -= 1;
		this.#host.settled(item.bytes, term);
		resolve(outcome);
	}

	#shutError(): FanoutError {
		const { transport, isShut, isLate } = this.#host;
		const why = isShut ? "its breaker is open" : isLate ? "it has not started yet" : "others are queued for it";
		return new FanoutError("TransportUnavailable", `${transport.place}: ${why}`, { retryable: true });
	}

	#pause(attempt: number): Promise<void> {
		const { clock, stop, random, budget } = this.#host;
		const withinMs = this.#timeLeft();
		const ms = Math.max(fullJitter(attempt, DEFAULT_RETRY, random), budget.takeMs(withinMs));
		// Nobody waits for what is kept: it does not keep the process alive.
		return pause(clock, Math.min(withinMs, ms), stop, this.#waiting > 0);
	}
}
