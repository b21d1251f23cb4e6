/**
 * Core NATS without a log. An acceptance means that the own server has it; who is connected at that moment hears it,
 * once, and nobody later. Positions are this process's count of what came to a channel, under an epoch that changes
 * with every lost connection: so what may have been missed is told as `epoch`, and there is nothing to read.
 */
import type { Channel } from "../../core/channel.ts";
import { pause } from "../../core/clock.ts";
import { type Envelope, encodeEnvelope } from "../../core/envelope.ts";
import { asFanoutError, FanoutError } from "../../core/errors.ts";
import { methodOf } from "../../core/message.ts";
import { epochOf, type Position, samePosition } from "../../core/position.ts";
import type { Ask, Outcome, Page, Subscriber } from "../../core/transport.ts";
import type { Subscription as CoreSubscription, Msg } from "./client.ts";
import { disconnected } from "./failure.ts";
import { methodLine, rawHeaders } from "./headers.ts";
import type { JetStream, JetStreamDeps } from "./jetstream.ts";
import { createSubjects } from "./subjects.ts";
import { decode } from "./wire.ts";

export type Core = JetStream;

/** A receipt may wait so long, so that what is published meanwhile shares its question. */
const FLUSH_MS = 1;

interface Heard {
	readonly subscriber: Subscriber;
	readonly core: CoreSubscription;
	count: number;
}

export function createCore({ nc, settings, clock, random32, report }: JetStreamDeps): Core {
	const subjects = createSubjects(settings.prefix, 1);
	const heard = new Map<string, Heard>();
	let epoch = epochOf(random32());
	/** Subjects that are published to now, and what the server does not allow of it. */
	const underWay = new Map<string, FanoutError | undefined>();
	let flushing: Promise<void> | undefined;

	const endOf = (channel: Channel): Position => ({ epoch, offset: heard.get(channel.key)?.count ?? 0 });

	function take(channel: Channel, msg: Msg): void {
		const to = heard.get(channel.key);
		if (to === undefined) return;
		to.count += 1;
		const position = { epoch, offset: to.count };
		const envelope = decode(channel, msg.data);
		to.subscriber.entry(envelope === undefined ? { position } : { position, envelope });
	}

	function page({ channel, from }: Ask): Page {
		const whole = !("offset" in from) || samePosition(from, endOf(channel));
		return { channel, entries: [], more: false, verdict: whole ? "whole" : "epoch" };
	}

	/** One question to the server for all that was published since the last: asked with each message, it delays them. */
	function flush(): Promise<void> {
		flushing ??= pause(clock, FLUSH_MS, undefined, true).then(async () => {
			flushing = undefined;
			await nc.flush();
			// What was denied is said before the answer, and handed on in a turn of its own.
			await new Promise((resolve) => setImmediate(resolve));
		});
		return flushing;
	}

	async function publish(channel: Channel, batch: readonly Envelope[]): Promise<Outcome[]> {
		const subject = subjects.bare(channel);
		const connected = epoch;
		underWay.set(subject, undefined);
		for (const envelope of batch) {
			const headers = rawHeaders(methodLine(methodOf(envelope.message)));
			nc.publish(subject, encodeEnvelope(envelope), { headers });
		}
		try {
			await flush();
			// Another connection's answer says nothing of what the one before it was given.
			if (epoch !== connected) throw disconnected();
		} catch (cause) {
			const error = disconnected(cause);
			underWay.delete(subject);
			return batch.map(() => ({ ok: false, uncertain: true, error }));
		}
		const error = underWay.get(subject);
		underWay.delete(subject);
		if (error !== undefined) return batch.map(() => ({ ok: false, uncertain: false, error }));
		return batch.map(() => ({ ok: true, duplicate: false, durability: "memory", reach: "fleet" }));
	}

	return {
		async start() {},
		publish,
		subscribe(channel, subscriber) {
			if (heard.has(channel.key)) {
				throw new FanoutError("Unsupported", "a channel has one live subscription; the engine shares it");
			}
			let denied: Error | undefined;
			let isOpen = false;
			const core = nc.subscribe(subjects.bare(channel), {
				callback(error, msg) {
					try {
						if (error === null) take(channel, msg);
						// After a reconnect to a server that allows less.
						else if (isOpen) subscriber.ended("gap");
						else denied = error;
					} catch (cause) {
						report({ kind: "error", error: asFanoutError(cause, "TransportRefused", "a live entry was not taken") });
					}
				},
			});
			const own: Heard = { subscriber, core, count: 0 };
			heard.set(channel.key, own);
			// The server has the subscription once it answered what was sent after it.
			const ready = nc.flush().then(() => {
				if (denied !== undefined) throw asFanoutError(denied, "TransportRefused", "the channel cannot be followed");
				isOpen = true;
				return { epoch, offset: own.count };
			});
			ready.catch(() => {});
			return {
				ready,
				close() {
					core.unsubscribe();
					if (heard.get(channel.key) === own) heard.delete(channel.key);
				},
			};
		},
		read: (asks) => asks.map(async (ask) => page(ask)),
		ends: async (channels) => channels.map(endOf),
		denied(error) {
			const { operation, subject } = error.cause as { operation?: string; subject?: string };
			if (operation === "publish" && subject !== undefined && underWay.has(subject)) underWay.set(subject, error);
		},
		disconnected() {
			epoch = epochOf(random32());
			for (const own of heard.values()) own.count = 0;
		},
		connected() {
			for (const { subscriber } of heard.values()) subscriber.suspect({ epoch, offset: 0 });
		},
		close() {
			for (const { core } of heard.values()) core.unsubscribe();
			heard.clear();
		},
	};
}
