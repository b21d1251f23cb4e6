/** One real nats-server for a file of tests, with instances over it that are closed after each test. */
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { afterAll, afterEach, beforeAll } from "vitest";
import type { Channel } from "../../lambda/layer/src/core/channel.ts";
import { BEGINNING } from "../../lambda/layer/src/core/position.ts";
import type { Page } from "../../lambda/layer/src/core/transport.ts";
import type { NatsOptions } from "../../lambda/layer/src/transports/nats/index.ts";
import { type NatsServers, startNatsServers } from "./nats.ts";
import { type Instance, numberOf, startInstance } from "./nats-fleet.ts";
import { type Tampered, tamper } from "./nats-tamper.ts";

export const never = new AbortController().signal;
export const LATE = { timeout: 8_000, interval: 20 };
export const upTo = (last: number) => Array.from({ length: last }, (_, index) => index + 1);
export const isLive = (subject: string) => subject.includes("-live.");

export interface NatsBench {
	readonly urls: string[];
	/** One that no test of this file used. */
	prefix(): string;
	instance(options: NatsOptions): Promise<Instance>;
	tampered(): Promise<Tampered & { readonly real: NatsConnection }>;
	/** Called after the test, the last first. */
	defer(close: () => Promise<unknown>): void;
}

/** Called at the top of a file of tests. */
export function useNats(): NatsBench {
	let servers: NatsServers | undefined;
	let count = 0;
	const open: (() => Promise<unknown>)[] = [];
	const urls = () => servers?.urls ?? [];
	beforeAll(async () => {
		servers = await startNatsServers();
	});
	afterAll(() => servers?.stop());
	afterEach(async () => {
		for (const close of open.splice(0).reverse()) await close();
	});
	return {
		get urls() {
			return urls();
		},
		prefix: () => `p${++count}`,
		async instance(options) {
			const started = await startInstance({ servers: urls(), storage: "memory", ...options });
			open.push(() => started.close());
			return started;
		},
		async tampered() {
			const real = await connect({ servers: urls(), maxReconnectAttempts: -1, reconnectTimeWait: 50 });
			open.push(() => real.close());
			return Object.assign(tamper(real), { real });
		},
		defer: (close) => void open.push(close),
	};
}

export async function readAll({ transport }: Instance, channel: Channel, from = BEGINNING): Promise<Page> {
	for await (const page of transport.read([{ channel, from, limit: 100 }], never)) return page;
	throw new Error("no page");
}

export const numbersIn = (page: Page) => page.entries.map(({ envelope }) => envelope && numberOf(envelope));
