/**
 * The aws transport: publishes to queues and topics, follows channels over one WebSocket to the own region's cell, and
 * reads the own region's log. A lane is `channel@region`, so its place is the region's.
 */
import type { Channel } from "../../core/channel.ts";
import type { Clock } from "../../core/clock.ts";
import { FanoutError } from "../../core/errors.ts";
import type { Ids } from "../../core/ids.ts";
import type { Position } from "../../core/position.ts";
import type { Subscription, Transport, TransportHost } from "../../core/transport.ts";
import type { WebSocketClass } from "./dial.ts";
import { failureOf } from "./failure.ts";
import { createHome } from "./home.ts";
import { inOrder } from "./in-order.ts";
import { createLink, type Link } from "./link.ts";
import { createLog } from "./log.ts";
import { createMailbox } from "./mailbox.ts";
import { checkMailbox } from "./mailbox-check.ts";
import { type AwsOptions, type AwsSettings, resolveAwsOptions } from "./options.ts";
import { createPublish } from "./publish.ts";
import { createAwsClients } from "./sdk.ts";

export interface AwsParts {
	readonly clock: Clock;
	readonly ids: Ids;
}

/** SQS remembers deduplication ids for five minutes, from the first send. */
export const DEDUP_MS = 5 * 60_000;
export const END_CHECK_MS = 60_000;
export const MAX_BATCH = { count: 10, bytes: 1024 * 1024 } as const;
const GOODBYE_MS = 1_000;
/** How long a signed WebSocket address may be used; it is signed anew for every attempt. */
const SIGNATURE_SECONDS = 60;

export function createAwsTransport(options: AwsOptions, { clock, ids }: AwsParts): Transport {
	const settings = resolveAwsOptions(options);
	const { region } = settings;
	const clients = options.clients ?? createAwsClients({ region, endpoint: settings.endpoint, sendAttempts: 1 });
	const log = createLog({
		table: settings.logTable,
		dynamo: clients.dynamo(),
		retentionSeconds: settings.retentionSeconds,
		clock,
		random32: ids.random32,
	});
	const home = createHome({ table: settings.sessionsTable, dynamo: clients.dynamo(), region, clock });
	const { mailboxName, parameterPrefix } = settings;
	const mailbox = createMailbox(clients, { region, name: mailboxName, url: options.mailbox?.url, parameterPrefix });
	const publish = createPublish({ settings, clients, home, mailbox });
	let host: TransportHost | undefined;
	let closed = false;
	const address = async () => {
		// The number makes the address this attempt's own among all dials of the process.
		const url = `${settings.backendApi}?dial=${ids.random32()}`;
		return new URL(await clients.signSocket(url, SIGNATURE_SECONDS));
	};
	const link = settings.follow
		? createLink({
				...settings,
				clock,
				random: () => ids.random32() / 2 ** 32,
				address,
				WebSocket: options.WebSocket ?? builtInWebSocket(),
				report: (event) => host?.report(event),
				goodbyeMs: GOODBYE_MS,
			})
		: undefined;

	const insist = () => {
		if (closed) throw new FanoutError("Closed", "the aws transport is closed");
	};

	return {
		name: "aws",
		place: `aws/${region}`,
		capabilities: {
			reach: settings.regions.length > 1 ? "global" : "region",
			replay: true,
			dedupMs: DEDUP_MS,
			endCheckMs: END_CHECK_MS,
			retentionMs: settings.retentionSeconds * 1000,
			batch: MAX_BATCH,
			positionAtAccept: false,
			maxPayloadBytes: settings.maxPayloadBytes,
		},
		async start(to, signal) {
			insist();
			host = to;
			if (options.mailbox !== undefined) await checkMailbox(clients, settings.mailboxName, options.mailbox, signal);
			if (link !== undefined) await dial(link, settings, signal);
		},
		async publish(channel, batch, _options, signal) {
			insist();
			return publish(channel, batch, signal);
		},
		subscribe(channel, subscriber) {
			if (closed) return refused(new FanoutError("Closed", "the aws transport is closed"));
			if (link === undefined) return refused(new FanoutError("Unsupported", "this aws transport follows nothing"));
			return link.subscribe(channel, subscriber);
		},
		async *read(asks, signal) {
			insist();
			try {
				yield* inOrder(asks, settings.readConcurrency, (ask) => log.read(ask, signal));
			} catch (error) {
				throw failureOf(error, `a read of the log in ${region}`).error;
			}
		},
		async ends(channels, signal) {
			insist();
			const ends: (Position | undefined)[] = channels.map(() => undefined);
			const failures: unknown[] = [];
			// One channel whose partition of the table is throttled keeps no other from being checked.
			const look = async ([at, channel]: readonly [number, Channel]) => {
				try {
					ends[at] = await log.newest(channel.key, signal);
				} catch (error) {
					failures.push(error);
				}
			};
			for await (const _ of inOrder([...channels.entries()], settings.readConcurrency, look));
			if (failures.length === 0) return ends;
			const { error } = failureOf(failures[0], `a read of ${failures.length} ends of the log in ${region}`);
			if (failures.length === channels.length) throw error;
			host?.report({ kind: "error", error });
			return ends;
		},
		rest: () => clients.rest(),
		async close() {
			if (closed) return;
			closed = true;
			await link?.close();
			if (options.clients === undefined) clients.close();
		},
	};
}

function refused(error: FanoutError): Subscription {
	const ready = Promise.reject(error);
	// Whoever waits for it sees it; whoever does not must not bring the process down.
	ready.catch(() => undefined);
	return { ready, close() {} };
}

async function dial(link: Link, settings: AwsSettings, signal: AbortSignal): Promise<void> {
	try {
		await link.start(signal);
	} catch (cause) {
		const detail = cause instanceof Error ? cause.message : String(cause);
		throw new FanoutError(
			"TransportUnavailable",
			`the aws transport could not connect to ${settings.backendApi} within ${settings.connectTimeoutMs} ms: ${detail}`,
			{ cause, retryable: true, data: { endpoint: settings.backendApi, timeoutMs: settings.connectTimeoutMs } },
		);
	}
}

function builtInWebSocket(): WebSocketClass {
	if (globalThis.WebSocket !== undefined) return globalThis.WebSocket;
	throw new FanoutError("DependencyMissing", "the aws transport needs a built-in WebSocket (Node 22 or later)");
}
