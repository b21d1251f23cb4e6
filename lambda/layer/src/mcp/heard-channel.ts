/**
 * One channel as this process's listens hear it: a client stream of the engine, its audience, and what changed lately.
 * Who hears `all` of a tenant hears what is for every tenant too. The feed is opened again when the engine ends it,
 * until it is closed: nobody else would come back for it.
 */
import { type Channel, everyTenantChannel } from "../core/channel.ts";
import type { Feed, Sink } from "../core/client-feed.ts";
import type { Clock } from "../core/clock.ts";
import { withDeadline } from "../core/deadline.ts";
import type { Envelope } from "../core/envelope.ts";
import { asFanoutError, type FanoutError } from "../core/errors.ts";
import type { Transport } from "../core/transport.ts";
import { Audience } from "./audience.ts";
import { changeOf } from "./change.ts";
import { readHistory } from "./history.ts";
import { RecentChanges } from "./recent-changes.ts";

export const HISTORY_TIMEOUT_MS = 5_000;

export interface HeardDeps {
	readonly clock: Clock;
	readonly transports: readonly Transport[];
	openFeed(channel: Channel, sink: Sink): Feed;
	report(error: FanoutError): void;
}

export class HeardChannel implements Sink {
	readonly channel: Channel;
	readonly audience = new Audience();
	/** By the monotonic clock: one that is set forward would make what has just changed an old change. */
	readonly recent = new RecentChanges();
	/** How many hold it; at zero it is closed. */
	users = 0;
	readonly #deps: HeardDeps;
	/** What it hears besides. */
	readonly #more: Channel | undefined;
	#feed: Feed;
	#opened: Promise<void>;
	#past: { readonly windowMs: number; readonly read: Promise<void> } | undefined;
	#closed = false;

	constructor(channel: Channel, deps: HeardDeps) {
		this.channel = channel;
		this.#deps = deps;
		this.#more = channel.kind === "all" ? everyTenantChannel(channel.namespace) : undefined;
		this.#feed = deps.openFeed(channel, this);
		this.#opened = this.#follow(this.#feed);
	}

	/** Resolves when the subscription stands. */
	get opened(): Promise<void> {
		return this.#opened;
	}

	async #follow(feed: Feed): Promise<void> {
		await feed.opened;
		if (this.#more === undefined || this.#closed) return;
		try {
			await feed.add(this.#more);
		} catch (error) {
			this.#deps.report(asFanoutError(error, "Closed", "what is for every tenant cannot be followed"));
		}
	}

	/** Resolves when `recent` knows the last `windowMs`, or knows that it does not. */
	ready(windowMs: number): Promise<void> {
		if (this.#past === undefined || this.#past.windowMs < windowMs) {
			this.#past = { windowMs, read: this.#readPast(windowMs) };
		}
		return this.#past.read;
	}

	/** A copy that stands in for one that a lane refused for the moment. */
	early(envelope: Envelope): void {
		this.#feed.early(envelope);
	}

	close(): void {
		this.#closed = true;
		this.#feed.close();
	}

	deliver(envelope: Envelope): boolean {
		const change = changeOf(envelope);
		if (change === undefined) return false;
		this.recent.add(change.key, this.#deps.clock.monotonic());
		this.audience.tell(change);
		return true;
	}

	mark(): void {
		this.recent.lost(this.#deps.clock.monotonic());
		this.audience.missed();
	}

	cursor(): void {}

	end(): void {
		if (this.#closed) return;
		const feed = this.#deps.openFeed(this.channel, this);
		this.#feed = feed;
		// What comes until it stands is missing as well.
		this.#opened = this.#follow(feed).then(() => {
			if (this.#feed === feed && !this.#closed) this.mark();
		});
	}

	async #readPast(windowMs: number): Promise<void> {
		await this.opened;
		const { clock, transports, report } = this.#deps;
		const [now, readAt] = [clock.now(), clock.monotonic()];
		const see = (envelope: Envelope) => {
			const change = changeOf(envelope);
			if (change !== undefined) this.recent.add(change.key, readAt - Math.max(0, now - envelope.publishedAt));
		};
		const read = async (transport: Transport, channel: Channel) => {
			const what = `reading what changed lately at ${transport.place}`;
			const isWhole = await withDeadline(clock, HISTORY_TIMEOUT_MS, what, (signal) =>
				readHistory({ transport, channel, sinceMs: now - windowMs, clock, signal, see }),
			);
			if (!isWhole) this.recent.lost(readAt);
		};
		const channels = this.#more === undefined ? [this.channel] : [this.channel, this.#more];
		const reads = transports.flatMap((transport) => channels.map((channel) => [transport, channel] as const));
		await Promise.all(
			reads.map(([transport, channel]) =>
				read(transport, channel).catch((error) => {
					this.recent.lost(readAt);
					if (!this.#closed) report(asFanoutError(error, "TransportUnavailable", "history could not be read", true));
				}),
			),
		);
	}
}
