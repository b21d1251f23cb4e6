/**
 * `bus()`: the SDK's `ServerEventBus` over the fan-out. `publish` sends to `all` of the default tenant and never
 * throws for what lies outside: failures go to `onerror` and to `flush()`. What transports bring is validated before a
 * listener sees it; a listener that throws starves nobody. The shapes are the SDK's, spelled here so that nothing of
 * it is imported. Source: @modelcontextprotocol/server 2.4, server/serverEventBus.
 */
import type { Channel } from "../core/channel.ts";
import type { Envelope } from "../core/envelope.ts";
import { asFanoutError, FanoutError } from "../core/errors.ts";
import { CHANGE_METHODS, type NotificationInput } from "../core/message.ts";

export type ServerEvent = (
	| { kind: "tools_list_changed" }
	| { kind: "prompts_list_changed" }
	| { kind: "resources_list_changed" }
	| { kind: "resource_updated"; uri: string }
) & { params?: { [key: string]: unknown } };

export interface FanoutBus {
	publish(event: ServerEvent): void;
	subscribe(listener: (event: ServerEvent) => void): () => void;
	/** Resolves when everything published before is settled; rejects with the failures, AllBroadcastersFailed. */
	flush(): Promise<void>;
}

export interface BusEar {
	hear(envelope: Envelope): void;
	/** Something before this point was lost. */
	missed(): void;
}

export interface BusDeps {
	readonly channel: Channel;
	publish(channel: Channel, notification: NotificationInput): Promise<unknown>;
	onerror(error: FanoutError): void;
	/** Registers who hears envelopes of the channel, and who is told that some are missing; returns the undo. */
	listen(ear: BusEar): () => void;
}

const KINDS = new Map<string, ServerEvent["kind"]>(
	Object.entries(CHANGE_METHODS).map(([kind, method]) => [method, kind as ServerEvent["kind"]]),
);
const LISTS = ["tools_list_changed", "prompts_list_changed", "resources_list_changed"] as const;
/** Failures kept for `flush`; beyond it the oldest is dropped (it went to `onerror`). */
const MAX_FAILURES = 100;

export function createBus(deps: BusDeps): FanoutBus {
	const listeners = new Set<{ readonly hear: (event: ServerEvent) => void }>();
	const pending = new Set<Promise<unknown>>();
	let failures: FanoutError[] = [];
	let unlisten: (() => void) | undefined;

	function fail(error: unknown): void {
		const failure = asFanoutError(error, "TransportRefused", "an event could not be published");
		failures = [...failures, failure].slice(-MAX_FAILURES);
		deps.onerror(failure);
	}

	function tell(event: ServerEvent): void {
		for (const listener of [...listeners]) {
			if (!listeners.has(listener)) continue;
			try {
				listener.hear(event);
			} catch (error) {
				deps.onerror(asFanoutError(error, "Unsupported", "a bus listener threw"));
			}
		}
	}

	const ear: BusEar = {
		hear(envelope) {
			const event = toEvent(envelope);
			if (event !== undefined) tell(event);
		},
		// MCP clients cannot read a reason: they are told to look again at every list.
		missed() {
			for (const kind of LISTS) tell({ kind });
		},
	};

	return {
		publish(event) {
			let notification: NotificationInput;
			try {
				notification = toNotification(event);
			} catch (error) {
				fail(error);
				return;
			}
			const sent = deps.publish(deps.channel, notification).catch(fail);
			pending.add(sent);
			sent.finally(() => pending.delete(sent));
		},
		subscribe(listener) {
			const entry = { hear: listener };
			listeners.add(entry);
			unlisten ??= deps.listen(ear);
			return () => {
				listeners.delete(entry);
				if (listeners.size > 0) return;
				unlisten?.();
				unlisten = undefined;
			};
		},
		async flush() {
			await Promise.all(pending);
			if (failures.length === 0) return;
			const causes = failures;
			failures = [];
			const { message } = causes[0] as FanoutError;
			throw new FanoutError(
				"AllBroadcastersFailed",
				`${causes.length} events were not accepted; the first: ${message}`,
				{ causes },
			);
		},
	};
}

function toNotification(event: ServerEvent): NotificationInput {
	const method = Object.hasOwn(CHANGE_METHODS, event?.kind) ? CHANGE_METHODS[event.kind] : undefined;
	if (method === undefined) throw new FanoutError("InvalidMessage", "an event's kind is one of the SDK's four");
	const uri = event.kind === "resource_updated" ? { uri: event.uri } : {};
	if ("uri" in uri && typeof uri.uri !== "string")
		throw new FanoutError("InvalidMessage", "resource_updated names a uri");
	const params = { ...event.params, ...uri };
	return Object.keys(params).length === 0 ? { method } : { method, params };
}

/** The SDK's event of an envelope, or undefined for messages that a listen does not carry. */
export function toEvent({ message }: Envelope): ServerEvent | undefined {
	if (!("method" in message)) return undefined;
	const kind = KINDS.get(message.method);
	if (kind === undefined) return undefined;
	const { uri, ...params } = message.params ?? {};
	const carried = Object.keys(params).length === 0 ? {} : { params };
	if (kind !== "resource_updated") return { kind, ...carried };
	return typeof uri === "string" ? { kind, uri, ...carried } : undefined;
}
