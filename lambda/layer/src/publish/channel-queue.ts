/**
 * One channel's publisher queue on one transport: at most one batch in flight; what queues meanwhile is the next
 * batch, and a retry pauses the channel, so envelopes enter the lane in call order (P2). States:
 *
 *   idle --publish--> sending --answered--> idle | sending;  sending --refused for now--> pausing --backed off--> sending
 *
 * An envelope waits at most until its deadline; then it fails, as uncertain when a batch with it was ever sent.
 */
import { fullJitter } from "../core/backoff.ts";
import type { Channel } from "../core/channel.ts";
import { type Clock, pause } from "../core/clock.ts";
import { withDeadline } from "../core/deadline.ts";
import { type Envelope, envelopeBytes } from "../core/envelope.ts";
import { asFanoutError, FanoutError } from "../core/errors.ts";
import type { Outcome, Transport } from "../core/transport.ts";
import type { Term } from "./pending.ts";

export const DEFAULT_RETRY = { baseMs: 25, capMs: 1_000 } as const;

export interface QueueHost {
	readonly transport: Transport;
	readonly clock: Clock;
	readonly stop: AbortSignal;
	random(): number;
	/** The queue gave back an envelope's room. */
	settled(bytes: number, term: Term): void;
	/** Nothing is queued or in flight any more. */
	idle(channel: Channel): void;
}

interface Item {
	readonly envelope: Envelope;
	readonly bytes: number;
	readonly term: Term;
	/** Monotonic. */
	readonly deadline: number;
	uncertain: boolean;
	resolve(outcome: Outcome): void;
}

export class ChannelQueue {
	readonly #channel: Channel;
	readonly #host: QueueHost;
	readonly #items: Item[] = [];
	#running = false;

	constructor(channel: Channel, host: QueueHost) {
		this.#channel = channel;
		this.#host = host;
	}

	get length(): number {
		return this.#items.length;
	}

	/** Never rejects: a failure is an outcome. */
	push(envelope: Envelope, timeoutMs: number, term: Term): Promise<Outcome> {
		return new Promise((resolve) => {
			const deadline = this.#host.clock.monotonic() + timeoutMs;
			this.#items.push({ envelope, bytes: envelopeBytes(envelope), term, deadline, uncertain: false, resolve });
			if (this.#running) return;
			this.#running = true;
			this.#run();
		});
	}

	async #run(): Promise<void> {
		for (let attempt = 0; this.#items.length > 0; ) {
			const batch = this.#batch();
			const error = batch.length === 0 ? undefined : await this.#send(batch);
			if (error === undefined) attempt = 0;
			else if (error.retryable || this.#host.stop.aborted) await this.#pause(attempt++);
			else {
				const refused = this.#items.shift() as Item;
				this.#settle(refused, { ok: false, uncertain: refused.uncertain, error });
			}
			this.#expire(error);
		}
		// In the turn that found nothing left: who publishes in the next one must find it idle.
		this.#running = false;
		this.#host.idle(this.#channel);
	}

	/** The first envelopes that fit one batch; always at least one. */
	#batch(): Item[] {
		const { count, bytes } = this.#host.transport.capabilities.batch;
		let size = 0;
		let taken = 0;
		for (const item of this.#items) {
			size += item.bytes;
			if (taken > 0 && (taken >= count || size > bytes)) break;
			taken += 1;
		}
		return this.#items.slice(0, taken);
	}

	/** Offers a batch and settles what was accepted; the error of the first that was not stays at the head. */
	async #send(batch: readonly Item[]): Promise<FanoutError | undefined> {
		const { transport, clock, stop } = this.#host;
		const mayExist = batch.some((item) => item.uncertain);
		const timeoutMs = Math.max(1, (batch[0] as Item).deadline - clock.monotonic());
		let outcomes: Outcome[];
		try {
			const envelopes = batch.map(({ envelope }) => envelope);
			const publish = (signal: AbortSignal) => transport.publish(this.#channel, envelopes, { mayExist }, signal);
			outcomes = await withDeadline(clock, timeoutMs, `a publish to ${transport.place}`, publish, stop);
		} catch (cause) {
			for (const item of batch) item.uncertain = true;
			return asFanoutError(cause, "TransportUnavailable", `a publish to ${transport.place} failed`, true);
		}
		for (const [index, item] of batch.entries()) {
			const outcome = outcomes[index];
			if (outcome?.ok) {
				this.#items.shift();
				this.#settle(item, outcome);
				continue;
			}
			for (const [behind, rest] of batch.slice(index).entries()) {
				const refused = outcomes[index + behind];
				if (refused === undefined || (!refused.ok && refused.uncertain)) rest.uncertain = true;
			}
			return (
				outcome?.error ??
				new FanoutError("TransportRefused", `${transport.place} answered fewer outcomes than envelopes`)
			);
		}
		return undefined;
	}

	/** Fails the head of the queue while its deadline is over or the publisher was closed. */
	#expire(last: FanoutError | undefined): void {
		const { clock, stop, transport } = this.#host;
		for (let head = this.#items[0]; head !== undefined; head = this.#items[0]) {
			if (!stop.aborted && head.deadline > clock.monotonic()) return;
			this.#items.shift();
			const message = stop.aborted
				? "the publisher was closed before a lane accepted"
				: `${transport.place} did not accept before the deadline`;
			const code = stop.aborted ? "Closed" : "DeadlineExceeded";
			const error = new FanoutError(code, message, { cause: last, retryable: !stop.aborted });
			this.#settle(head, { ok: false, uncertain: head.uncertain, error });
		}
	}

	#settle(item: Item, outcome: Outcome): void {
		this.#host.settled(item.bytes, item.term);
		item.resolve(outcome);
	}

	#pause(attempt: number): Promise<void> {
		const { clock, stop, random } = this.#host;
		const left = (this.#items[0]?.deadline ?? 0) - clock.monotonic();
		return pause(clock, Math.max(0, Math.min(left, fullJitter(attempt, DEFAULT_RETRY, random))), stop, true);
	}
}
