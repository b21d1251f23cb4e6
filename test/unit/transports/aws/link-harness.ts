/** A link on a manual clock against a scripted API, and followers that write down what they are told. */
import { createChannel } from "../../../../lambda/layer/src/core/channel.ts";
import { formatPosition } from "../../../../lambda/layer/src/core/position.ts";
import type { Subscription, TransportEvent } from "../../../../lambda/layer/src/core/transport.ts";
import { createFakeClock } from "../../../../lambda/layer/src/testing/fake-clock.ts";
import { createLink, type LinkOptions } from "../../../../lambda/layer/src/transports/aws/link.ts";
import { createScriptedApi, until } from "./scripted-api.ts";

export const MINUTE = 60_000;

export interface Told {
	readonly entries: string[];
	readonly envelopes: unknown[];
	readonly suspects: string[];
	readonly ends: string[];
	readonly subscription: Subscription;
}

export async function createLinkHarness(options: Partial<LinkOptions> = {}) {
	const api = await createScriptedApi();
	const clock = createFakeClock();
	const events: TransportEvent[] = [];
	let dials = 0;
	const link = createLink({
		clock,
		random: () => 0.5,
		address: async () => new URL(`${api.url}?dial=${++dials}`),
		WebSocket: globalThis.WebSocket,
		report: (event) => events.push(event),
		connectTimeoutMs: 10_000,
		requestTimeoutMs: 10_000,
		readyTimeoutMs: 15_000,
		pingMs: 5 * MINUTE,
		goodbyeMs: 1_000,
		backoff: { baseMs: 200, capMs: 20_000 },
		rotateMs: 110 * MINUTE,
		...options,
	});
	const key = (id: string) => createChannel("session", id).key;
	const follow = (id: string): Told => {
		const told: Omit<Told, "subscription"> = { entries: [], envelopes: [], suspects: [], ends: [] };
		const subscription = link.subscribe(createChannel("session", id), {
			entry: (entry) => {
				told.entries.push(formatPosition(entry.position));
				told.envelopes.push(entry.envelope);
			},
			suspect: (end) => told.suspects.push(end === undefined ? "unknown" : formatPosition(end)),
			ended: (reason) => told.ends.push(reason),
		});
		return { ...told, subscription };
	};
	return {
		api,
		/** Addresses that were asked for. */
		get dials() {
			return dials;
		},
		clock,
		events,
		link,
		key,
		follow,
		start: () => link.start(new AbortController().signal),
		/** Time moves until the API sees the connection of this number (from 1). */
		async reconnected(count: number) {
			await until(`connection ${count}`, async () => {
				await clock.advance(100);
				return api.connections.length >= count;
			});
		},
		async close() {
			const closing = link.close();
			await clock.advance(1_000);
			await closing;
			await api.close();
		},
	};
}
