/**
 * `bus()`: the SDK's `ServerEventBus` over the fan-out. `publish` sends to `all` of the request's tenant, else of the
 * default one, and never throws for what lies outside: failures go to `onerror` and to `flush()`. A bare bus hears
 * `all` of the default tenant; one that a fleet handler has marked as scoped hears what the request's scope says, and
 * refuses a subscription without one. What transports bring is validated before a listener sees it; a listener that
 * throws starves nobody. The shapes are the SDK's, spelled here so that nothing of it is imported.
 */
import { type Channel, createChannel, DEFAULT_TENANT } from "../core/channel.ts";
import type { Clock } from "../core/clock.ts";
import { asFanoutError, FanoutError } from "../core/errors.ts";
import type { NotificationInput } from "../core/message.ts";
import { Pending } from "../core/pending.ts";
import type { Change, ServerEvent } from "./change.ts";
import { LIST_KINDS, toNotification } from "./change.ts";
import type { HeardChannels } from "./heard-channels.ts";
import { joinScope, type RequestScopes } from "./request-scope.ts";
import type { SessionHost } from "./session/host.ts";

export interface FanoutBus {
	publish(event: ServerEvent): void;
	subscribe(listener: (event: ServerEvent) => void): () => void;
	/** Resolves when everything published before is settled; rejects with the failures, AllBroadcastersFailed. */
	flush(): Promise<void>;
}

export interface BusDeps {
	readonly namespace: string;
	readonly clock: Clock;
	readonly channels: HeardChannels;
	readonly scopes: RequestScopes;
	readonly sessions: SessionHost;
	/** A promise where something has to be waited for; what is wrong before is thrown. */
	send(channel: Channel, notification: NotificationInput): unknown;
	onerror(error: FanoutError): void;
}

/** What a fleet handler needs of a bus: found by a symbol, so that another copy of this package finds it too. */
export interface BusSeam {
	readonly deps: BusDeps;
	/** From here on a subscription needs a request's scope. */
	scoped: boolean;
}

const SEAM = Symbol.for("mcp-fanout.bus");

export function seamOf(bus: unknown): BusSeam | undefined {
	return typeof bus === "object" && bus !== null ? (bus as { readonly [SEAM]?: BusSeam })[SEAM] : undefined;
}

/** Failures kept for `flush`; beyond it the oldest is dropped (it went to `onerror`). */
const MAX_FAILURES = 100;

/** Buses of one fanout: each is scoped or bare for itself, and what one published another flushes. */
export function createBuses(deps: BusDeps): () => FanoutBus {
	const pending = new Pending();
	let failures: FanoutError[] = [];
	let all = createChannel("all", "", { namespace: deps.namespace });

	function fail(error: unknown): void {
		const failure = asFanoutError(error, "TransportRefused", "an event could not be published");
		failures = [...failures, failure].slice(-MAX_FAILURES);
		deps.onerror(failure);
	}

	function publish(event: ServerEvent): void {
		try {
			const tenant = deps.scopes.getStore()?.tenant ?? DEFAULT_TENANT;
			// Most events in a row are one tenant's.
			if (all.tenant !== tenant) all = createChannel("all", "", { namespace: deps.namespace, tenant });
			const sent = deps.send(all, toNotification(event));
			if (sent instanceof Promise) wait(sent);
		} catch (error) {
			fail(error);
		}
	}

	function wait(sent: Promise<unknown>): void {
		const term = pending.begin();
		sent.catch(fail).then(() => pending.end(term));
	}

	async function flush(): Promise<void> {
		await pending.flush();
		if (failures.length === 0) return;
		const causes = failures;
		failures = [];
		const { message } = causes[0] as FanoutError;
		throw new FanoutError("AllBroadcastersFailed", `${causes.length} events were not accepted; the first: ${message}`, {
			causes,
		});
	}

	return () => {
		const seam: BusSeam = { deps, scoped: false };
		const subscribe = (listener: (event: ServerEvent) => void): (() => void) => {
			if (!seam.scoped) return joinEveryone(deps, listener);
			const scope = deps.scopes.getStore();
			if (scope === undefined || !("channels" in scope)) {
				throw new FanoutError(
					"ScopeRequired",
					"this bus belongs to a fleet handler: it is subscribed to only within a request",
				);
			}
			return joinScope(scope, listener, deps.channels, deps.onerror);
		};
		const bus: FanoutBus = { publish, subscribe, flush };
		return Object.defineProperty(bus, SEAM, { value: seam });
	};
}

/** A bare listener: everything that the default tenant's `all` brings. */
function joinEveryone(deps: BusDeps, listener: (event: ServerEvent) => void): () => void {
	const { namespace, channels, onerror } = deps;
	const tell = (event: ServerEvent) => {
		try {
			listener(event);
		} catch (error) {
			onerror(asFanoutError(error, "Unsupported", "a bus listener threw"));
		}
	};
	const ear = {
		hear: (change: Change) => tell(change.event),
		// MCP clients cannot read a reason: they are told to look again at every list.
		missed() {
			for (const kind of LIST_KINDS) tell({ kind });
		},
	};
	const heard = channels.acquire(createChannel("all", "", { namespace }));
	heard.audience.add(ear, undefined);
	let isJoined = true;
	return () => {
		if (!isJoined) return;
		isJoined = false;
		heard.audience.remove(ear, undefined);
		channels.release(heard);
	};
}
