/**
 * The nats transport: JetStream's log in partition streams, live copies over core subscriptions; or, without JetStream,
 * core NATS alone. One connection for everything.
 */
import { asTheyCome } from "../../core/as-they-come.ts";
import type { Channel } from "../../core/channel.ts";
import type { Clock } from "../../core/clock.ts";
import { withDeadline } from "../../core/deadline.ts";
import { type Envelope, envelopeBytes } from "../../core/envelope.ts";
import { asFanoutError, FanoutError, isFanoutError } from "../../core/errors.ts";
import type { Ids } from "../../core/ids.ts";
import type { Outcome, Transport, TransportEvent, TransportHost } from "../../core/transport.ts";
import type { NatsConnection } from "./client.ts";
import { type Core, createCore } from "./core.ts";
import { dial, type Watch, watch } from "./dial.ts";
import { closed, disconnected, notStarted } from "./failure.ts";
import { createJetStream, type JetStream } from "./jetstream.ts";
import { END_CHECK_MS, ENDS_BATCH, MAX_BATCH, type NatsOptions, resolveNatsOptions } from "./options.ts";
import { checkServer, OVERHEAD_BYTES } from "./server.ts";

export interface NatsParts {
	readonly clock: Clock;
	readonly ids: Ids;
	readonly instanceId: string;
}

interface Running {
	readonly nc: NatsConnection;
	readonly log: JetStream | Core;
	readonly watching: Watch;
}

export function createNatsTransport(options: NatsOptions, { clock, ids, instanceId }: NatsParts): Transport {
	const settings = resolveNatsOptions(options);
	const { jetstream, maxPayloadBytes } = settings;
	let host: TransportHost | undefined;
	let running: Running | undefined;
	let online = false;
	let state: "new" | "started" | "closed" = "new";
	const report = (event: TransportEvent) => {
		if (state !== "closed") host?.report(event);
	};

	const usable = (signal?: AbortSignal): Running | FanoutError => {
		if (state === "closed") return closed();
		if (signal?.aborted) return new FanoutError("Aborted", "the call was aborted", { cause: signal.reason });
		if (running === undefined) return notStarted();
		return online ? running : disconnected();
	};
	const insist = (signal?: AbortSignal): Running => {
		const found = usable(signal);
		if (isFanoutError(found)) throw found;
		return found;
	};

	async function start(signal: AbortSignal): Promise<void> {
		const nc = await dial(
			options,
			settings,
			clock,
			settings.clientName.replaceAll("{instance_id}", instanceId),
			signal,
		);
		const deps = { nc, settings, clock, random32: ids.random32, report };
		const log = jetstream ? createJetStream(deps) : createCore(deps);
		online = true;
		// From here on: what a user may not do is told by the connection, and only there.
		const watching = watch(nc, {
			disconnected() {
				online = false;
				log.disconnected();
				report({ kind: "disconnected" });
			},
			connected() {
				online = true;
				log.connected();
				report({ kind: "connected" });
			},
			closed() {
				online = false;
				log.disconnected();
				report({ kind: "error", error: new FanoutError("TransportUnavailable", "the NATS connection was closed") });
			},
			failed(error) {
				log.denied?.(error);
				report({ kind: "error", error });
			},
		});
		watching.done.catch((cause) =>
			report({ kind: "error", error: asFanoutError(cause, "TransportRefused", "NATS failed") }),
		);
		try {
			checkServer(nc, settings);
			await abortable(log.start(signal), signal);
			if (state === "closed") throw closed();
		} catch (error) {
			watching.stop();
			log.close();
			if (options.connection === undefined) await nc.close();
			throw error;
		}
		running = { nc, log, watching };
	}

	return {
		name: "nats",
		// Without a log positions are this process's own.
		place: jetstream ? `nats/${settings.prefix}` : `nats/${instanceId}`,
		capabilities: {
			reach: "fleet",
			replay: jetstream,
			dedupMs: jetstream ? settings.dedupMs : 0,
			endCheckMs: jetstream ? END_CHECK_MS : 0,
			endsBatch: ENDS_BATCH,
			retentionMs: jetstream ? settings.maxAgeMs : 0,
			batch: MAX_BATCH,
			positionAtAccept: jetstream,
			maxPayloadBytes,
		},
		async start(to, signal) {
			if (state !== "new") throw new FanoutError("Closed", "a nats transport starts once");
			host = to;
			await start(signal);
			if (state === "new") state = "started";
		},
		async publish(channel, batch, { mayExist }, signal) {
			const found = usable(signal);
			// Nothing was sent: no doubt about it, as there would be if it was thrown.
			if (isFanoutError(found)) return batch.map(() => ({ ok: false, uncertain: false, error: found }));
			const { nc, log } = found;
			// Another server than the one that was dialled at the start may take less.
			const most = Math.min(maxPayloadBytes, (nc.info?.max_payload ?? Number.POSITIVE_INFINITY) - OVERHEAD_BYTES);
			const good = batch.findIndex((envelope) => envelopeBytes(envelope) > most);
			if (good < 0) return log.publish(channel, batch, mayExist, signal);
			const outcomes = good === 0 ? [] : await log.publish(channel, batch.slice(0, good), mayExist, signal);
			const failure = outcomes.find(({ ok }) => !ok) ?? tooLarge(batch[good] as Envelope, most);
			while (outcomes.length < batch.length) outcomes.push(failure);
			return outcomes;
		},
		subscribe(channel: Channel, subscriber) {
			try {
				return insist().log.subscribe(channel, subscriber);
			} catch (cause) {
				const ready = Promise.reject(asFanoutError(cause, "TransportUnavailable", "the channel cannot be followed"));
				// Whoever waits for it sees it; whoever closed first must not bring the process down.
				ready.catch(() => {});
				return { ready, close() {} };
			}
		},
		async *read(asks, signal) {
			const { log } = insist(signal);
			const byChannel = Map.groupBy(asks, ({ channel }) => channel.key);
			yield* asTheyCome([...byChannel.values()].map((some) => log.read(some).map((page) => abortable(page, signal))));
		},
		async ends(channels, signal) {
			return abortable(insist(signal).log.ends(channels), signal);
		},
		async close() {
			if (state === "closed") return;
			state = "closed";
			running?.watching.stop();
			running?.log.close();
			if (running === undefined) return;
			const { nc } = running;
			// Of one that lives on, what was said last is to have left; a server that hangs holds up nobody's close.
			const flushed = () => withDeadline(clock, settings.requestTimeoutMs, "the last words", () => nc.flush());
			if (options.connection === undefined) await nc.close();
			else await flushed().catch(() => {});
		},
	};
}

function tooLarge(envelope: Envelope, maxPayloadBytes: number): Outcome {
	const bytes = envelopeBytes(envelope);
	const message = `the envelope takes ${bytes} bytes encoded, nats takes at most ${maxPayloadBytes}`;
	const error = new FanoutError("PayloadTooLarge", message, { data: { bytes, maxPayloadBytes } });
	return { ok: false, uncertain: false, error };
}

/** Work that has its own deadline, left alone when the caller's signal aborts first. */
function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
	return new Promise((resolve, reject) => {
		const aborted = () => reject(new FanoutError("Aborted", "the call was aborted", { cause: signal.reason }));
		if (signal.aborted) aborted();
		signal.addEventListener("abort", aborted, { once: true });
		work.then(resolve, reject).finally(() => signal.removeEventListener("abort", aborted));
	});
}
