/**
 * The connection: dialled under a deadline whose error names the servers, or passed in ready. It reconnects for ever;
 * what it says about itself is told, and a close that nobody asked for is an error.
 */
import type { Clock } from "../../core/clock.ts";
import { withDeadline } from "../../core/deadline.ts";
import { FanoutError } from "../../core/errors.ts";
import { type ConnectionOptions, loadNatsClient, type NatsConnection } from "./client.ts";
import { type NatsOptions, type NatsSettings, resolveNatsOptions } from "./options.ts";
import { closeSilent } from "./silent.ts";

const RECONNECT_MS = 250;
const JITTER_MS = 250;

function connectionOptions(options: NatsOptions, settings: NatsSettings, name: string): ConnectionOptions {
	const { credsAuthenticator, nkeyAuthenticator } = loadNatsClient();
	const bytes = (text: string) => new TextEncoder().encode(text);
	const { token, user, password } = settings.login;
	// The client takes no notice of the scheme: without this it speaks plain text to whoever offers nothing else.
	const { tls = settings.servers.some((server) => /^tls:/i.test(server)) ? {} : undefined } = options;
	return {
		servers: [...settings.servers],
		name,
		timeout: settings.connectTimeoutMs,
		maxReconnectAttempts: -1,
		reconnectTimeWait: RECONNECT_MS,
		reconnectJitter: JITTER_MS,
		reconnectJitterTLS: JITTER_MS,
		ignoreAuthErrorAbort: true,
		pingInterval: settings.pingMs,
		maxPingOut: 2,
		...(settings.inboxPrefix !== undefined && { inboxPrefix: settings.inboxPrefix }),
		...(token !== undefined && { token }),
		...(user !== undefined && { user }),
		...(password !== undefined && { pass: password }),
		...(options.nkey !== undefined && { authenticator: nkeyAuthenticator(bytes(options.nkey)) }),
		...(options.creds !== undefined && { authenticator: credsAuthenticator(bytes(options.creds)) }),
		...(tls !== undefined && { tls }),
	};
}

export async function dial(
	options: NatsOptions,
	settings: NatsSettings,
	clock: Clock,
	name: string,
	signal: AbortSignal,
): Promise<NatsConnection> {
	if (options.connection !== undefined) return options.connection;
	const { connect } = loadNatsClient();
	const { servers, connectTimeoutMs } = settings;
	let given = true;
	const stop = closeSilent(servers, connectTimeoutMs);
	const dialled = connect(connectionOptions(options, settings, name));
	// A connection that comes after the deadline is nobody's.
	dialled
		.then(
			(nc) => (given ? undefined : nc.close()),
			() => {},
		)
		.finally(stop);
	try {
		return await withDeadline(clock, connectTimeoutMs, "the connection", () => dialled, signal);
	} catch (cause) {
		given = false;
		const detail = cause instanceof Error ? cause.message : String(cause);
		const shown = servers.join(", ");
		throw new FanoutError(
			"TransportUnavailable",
			`the nats transport could not connect to ${shown} within ${connectTimeoutMs} ms: ${detail}`,
			{ cause, retryable: true, data: { servers: shown, timeoutMs: connectTimeoutMs } },
		);
	}
}

/** A connection of its own for whoever else keeps something there: the session registry. */
export function dialNats(
	options: NatsOptions,
	clock: Clock,
	name: string,
	signal: AbortSignal,
): Promise<NatsConnection> {
	const { connection: _shared, ...own } = options;
	return dial(own, resolveNatsOptions(own), clock, name, signal);
}

export interface LineListener {
	connected(): void;
	disconnected(): void;
	/** For good: by whoever passed it in, or by a server that will not have it back. */
	closed(): void;
	failed(error: FanoutError): void;
}

export interface Watch {
	/** Rejects when something in a listener failed. */
	readonly done: Promise<void>;
	stop(): void;
}

/** Follows what the connection says about itself until it is closed, or this is stopped: it may live longer. */
export function watch(nc: NatsConnection, listener: LineListener): Watch {
	// The client's iterators can be stopped, though its types do not say so; nothing else ends one that waits.
	const statuses: ReturnType<NatsConnection["status"]> & { stop?(): void } = nc.status();
	let isStopped = false;
	return {
		done: follow(statuses, listener, () => isStopped),
		stop() {
			isStopped = true;
			statuses.stop?.();
		},
	};
}

async function follow(
	statuses: ReturnType<NatsConnection["status"]>,
	listener: LineListener,
	isStopped: () => boolean,
): Promise<void> {
	for await (const status of statuses) {
		if (isStopped()) return;
		switch (status.type) {
			case "disconnect":
				listener.disconnected();
				break;
			case "reconnect":
				listener.connected();
				break;
			case "error":
				listener.failed(
					new FanoutError("TransportRefused", `NATS said: ${status.error.message}`, { cause: status.error }),
				);
				break;
		}
	}
	if (!isStopped()) listener.closed();
}
