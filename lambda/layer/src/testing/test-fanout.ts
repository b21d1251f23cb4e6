/**
 * `createTestFanout()`: a real fanout, in this process and in memory, that keeps a list of what it accepted. Nothing
 * is stubbed: streams opened on it get what is published. Close it as any other.
 */
import type { FanoutOptions } from "../config/options.ts";
import type { ChannelKind } from "../core/channel.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import type { Envelope } from "../core/envelope.ts";
import type { FanoutError } from "../core/errors.ts";
import { createIds } from "../core/ids.ts";
import { methodOf } from "../core/message.ts";
import type { Transport } from "../core/transport.ts";
import { createFanout, type Fanout } from "../fanout.ts";
import { createLocalTransport } from "../transports/local/index.ts";
import { createFill } from "./seeded.ts";

export interface TestFanoutOptions extends Pick<FanoutOptions, "namespace" | "streams" | "timeoutMs" | "onerror"> {
	/**
	 * With `createFakeClock()` time stands still until `advance(ms)`. Default: the system's, which a test runner's fake timers
	 * hold still too; publishing, streams and `close` go on, and what waits for time (`drain` with streams open, a `timeoutMs`,
	 * heartbeats) waits until they are moved.
	 */
	readonly clock?: Clock;
	/** With a seed, ids and epochs are the same in every run in which the clock is. */
	readonly seed?: number;
}

export interface Published {
	/** Whom it was for. */
	readonly to: { readonly kind: ChannelKind; readonly id: string; readonly tenant: string };
	readonly method: string | undefined;
	readonly params: Readonly<Record<string, unknown>> | undefined;
	/** The envelope's id, as in the receipt. */
	readonly id: string;
}

export interface TestFanout extends Fanout {
	/** What was accepted, in the order in which it was; an id that was offered twice stands here once. */
	readonly published: readonly Published[];
	/** Forgets what was published so far; open streams do not notice. */
	clear(): void;
	/** Every publish is refused with this error until it is called with `undefined`. */
	refuse(error: FanoutError | undefined): void;
}

function toPublished({ channel, message, id }: Envelope): Published {
	const { kind, id: name, tenant } = channel;
	const params = "params" in message ? message.params : undefined;
	return { to: { kind, id: name, tenant }, method: methodOf(message), params, id };
}

export async function createTestFanout(options: TestFanoutOptions = {}): Promise<TestFanout> {
	const { clock = systemClock, seed, ...rest } = options;
	const ids = seed === undefined ? createIds(clock) : createIds(clock, createFill(seed));
	// Everything goes through `publish`, where it is recorded and may be refused.
	const { accept: _sameTurn, ...local } = createLocalTransport({}, { clock, ids, instanceId: "test" });
	const published: Published[] = [];
	let refusal: FanoutError | undefined;
	const transport: Transport = {
		...local,
		async publish(channel, batch, how, signal) {
			const error = refusal;
			if (error !== undefined) return batch.map(() => ({ ok: false, uncertain: false, error }));
			const outcomes = await local.publish(channel, batch, how, signal);
			for (const [index, outcome] of outcomes.entries()) {
				if (outcome.ok && !outcome.duplicate) published.push(toPublished(batch[index] as Envelope));
			}
			return outcomes;
		},
	};
	const fanout = await createFanout({ ...rest, clock, ids, transports: [transport], follow: true });
	return {
		...fanout,
		published,
		clear() {
			published.length = 0;
		},
		refuse(error) {
			refusal = error;
		},
	};
}
