/**
 * One subscribed connection to one node, for the partitions that it has. It dials again for ever, and watches itself:
 * a beat that went out through the connection for commands and does not come in here means that this one is dead, even
 * when its socket does not know. States: dialling → up → (lost, silent) → dialling; closed is final.
 */
import { fullJitter } from "../../core/backoff.ts";
import type { Clock, Timer } from "../../core/clock.ts";
import { bare, FanoutError } from "../../core/errors.ts";
import type { TransportEvent } from "../../core/transport.ts";
import type { Redis } from "./client.ts";
import type { Keys } from "./keys.ts";

/** A beat that was published and not heard for this long. */
export const BEAT_DEADLINE_MS = 2_000;
const REDIAL = { baseMs: 25, capMs: 1_000 } as const;

export interface LineDeps {
	readonly clock: Clock;
	readonly keys: Keys;
	readonly sharded: boolean;
	readonly instance: string;
	random(): number;
	dial(): Redis;
	/** Publishes through the connection for commands. */
	publish(channel: string, text: string): Promise<unknown>;
	heard(partition: number, text: string): void;
	/** These partitions are subscribed now. */
	stood(partitions: readonly number[]): void;
	report(event: TransportEvent): void;
}

export class Line {
	readonly #deps: LineDeps;
	readonly #wanted = new Set<number>();
	readonly #standing = new Set<number>();
	readonly #byChannel = new Map<string, number>();
	#client: Redis | undefined;
	#state: "dialling" | "up" | "closed" = "dialling";
	#redial: Timer | undefined;
	#attempt = 0;
	/** The last failure that was told since the connection was up: redials that fail alike tell no more. */
	#told: string | undefined;
	#beatPartition: number | undefined;
	#beats = 0;
	#heardBeat = 0;
	#unheardSince: number | undefined;

	constructor(deps: LineDeps) {
		this.#deps = deps;
		this.#dial();
	}

	get partitions(): ReadonlySet<number> {
		return this.#wanted;
	}

	add(partition: number): void {
		this.#wanted.add(partition);
		if (this.#state === "up") this.#subscribe([partition]);
	}

	remove(partition: number): void {
		this.#wanted.delete(partition);
		this.#standing.delete(partition);
		const channel = this.#deps.keys.live(partition);
		this.#byChannel.delete(channel);
		if (this.#state === "up" && this.#client !== undefined) this.#unsubscribe(this.#client, channel);
	}

	/** Once in a while: sends a beat, gives up a silent connection, tries again what could not be subscribed. */
	tick(): void {
		const client = this.#client;
		if (this.#state !== "up" || client === undefined) return;
		const now = this.#deps.clock.monotonic();
		if (this.#unheardSince !== undefined && now - this.#unheardSince > BEAT_DEADLINE_MS) {
			const message = `the listener heard nothing for ${BEAT_DEADLINE_MS} ms, though beats were published`;
			this.#lost(client, new FanoutError("TransportUnavailable", message, { retryable: true }));
			return;
		}
		const missing = [...this.#wanted].filter((partition) => !this.#standing.has(partition));
		if (missing.length > 0) this.#subscribe(missing);
		this.#beat(client);
	}

	close(): void {
		this.#state = "closed";
		this.#redial?.cancel();
		this.#client?.disconnect();
		this.#client = undefined;
	}

	#dial(): void {
		let client: Redis;
		try {
			client = this.#deps.dial();
		} catch (cause) {
			this.#again(cause);
			return;
		}
		this.#client = client;
		// `end` tells the loss; an error without a listener would be thrown.
		let last: unknown;
		client.on("error", (error) => {
			last = error;
		});
		client.once("end", () => this.#lost(client, last));
		client.on(this.#deps.sharded ? "smessage" : "message", (channel: string, text: string) =>
			this.#message(channel, text),
		);
		// A slot that moved took its subscriptions along. Which they were is not told, and it may be back already.
		client.on("moved", () => {
			if (this.#client !== client) return;
			this.#standing.clear();
			this.#beatPartition = undefined;
		});
		client.connect().then(
			() => {
				if (this.#client !== client || this.#state === "closed") return;
				this.#state = "up";
				this.#attempt = 0;
				this.#told = undefined;
				this.#beatPartition = undefined;
				this.#unheardSince = undefined;
				this.#deps.report({ kind: "connected", detail: "listener" });
				this.#subscribe([...this.#wanted]);
				this.#beat(client);
			},
			(error) => this.#lost(client, last ?? error),
		);
	}

	#lost(client: Redis, cause: unknown): void {
		if (this.#client !== client || this.#state === "closed") return;
		client.disconnect();
		this.#client = undefined;
		if (this.#state === "up") this.#deps.report({ kind: "disconnected", detail: "listener" });
		this.#again(cause);
	}

	#again(cause: unknown): void {
		this.#state = "dialling";
		this.#standing.clear();
		const detail = cause instanceof Error ? `: ${cause.message}` : "";
		const error = new FanoutError("TransportUnavailable", `the listener's connection was lost${detail}`, {
			cause: bare(cause),
			retryable: true,
		});
		if (error.message !== this.#told) this.#deps.report({ kind: "error", error });
		this.#told = error.message;
		const ms = fullJitter(this.#attempt++, REDIAL, () => this.#deps.random());
		this.#redial = this.#deps.clock.after(ms, () => this.#dial());
	}

	/** One command each: the slots of a node's partitions differ. They go out together. */
	#subscribe(partitions: readonly number[]): void {
		const client = this.#client;
		if (client === undefined || partitions.length === 0) return;
		const stood: number[] = [];
		const asking = partitions.map(async (partition) => {
			const channel = this.#deps.keys.live(partition);
			this.#byChannel.set(channel, partition);
			await this.#listen(client, channel);
			if (this.#client !== client || !this.#wanted.has(partition) || this.#standing.has(partition)) return;
			this.#standing.add(partition);
			stood.push(partition);
		});
		Promise.allSettled(asking).then((outcomes) => {
			if (stood.length > 0) this.#deps.stood(stood);
			const failed = outcomes.find((outcome) => outcome.status === "rejected");
			if (failed === undefined || this.#client !== client) return;
			const message = "a partition could not be subscribed for now";
			const cause = bare(failed.reason);
			const error = new FanoutError("TransportUnavailable", message, { cause, retryable: true });
			this.#deps.report({ kind: "error", error });
		});
	}

	#listen(client: Redis, channel: string): Promise<unknown> {
		return this.#deps.sharded ? client.ssubscribe(channel) : client.subscribe(channel);
	}

	#unsubscribe(client: Redis, channel: string): void {
		const done = this.#deps.sharded ? client.sunsubscribe(channel) : client.unsubscribe(channel);
		// A connection that is lost meanwhile has no subscription any more.
		done.catch(() => {});
	}

	/** Through the channel of a partition that this line's node has, so that it takes the way that entries take. */
	#beat(client: Redis): void {
		const { keys, instance } = this.#deps;
		const partition = this.#standing.values().next().value ?? this.#wanted.values().next().value;
		if (partition === undefined) return;
		const channel = keys.beat(partition, instance);
		if (this.#beatPartition !== partition) {
			this.#beatPartition = partition;
			this.#listen(client, channel).catch(() => {
				// Moved or lost: the next beat chooses anew.
				if (this.#beatPartition === partition) this.#beatPartition = undefined;
			});
		}
		this.#beats += 1;
		const beat = this.#beats;
		this.#deps.publish(channel, String(beat)).then(
			() => {
				if (this.#client === client && beat > this.#heardBeat) this.#unheardSince ??= this.#deps.clock.monotonic();
			},
			// The connection for commands has trouble of its own, which says nothing about this one.
			() => {},
		);
	}

	#message(channel: string, text: string): void {
		const partition = this.#byChannel.get(channel);
		if (partition !== undefined) {
			this.#deps.heard(partition, text);
			return;
		}
		if (!/^\d+$/.test(text)) return;
		this.#heardBeat = Math.max(this.#heardBeat, Number(text));
		this.#unheardSince = undefined;
	}
}
