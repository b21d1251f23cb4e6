/**
 * `createFleetHandler`: the SDK's `createMcpHandler`, or anything with a `fetch` whose bus is ours, as one of several
 * processes behind any load balancer. It carries whose request it is to the bus, opens what a listen hears before the
 * listen is acknowledged, tells it what changed lately, bounds what waits for a client that does not read, and ends it
 * when its authorisation does. Listens are dropped, never ended with a result: clients take a result for good.
 * With `sessions`, every request of the 2025 era is a session's; without it they pass to the handler as they are.
 */
import { type Clock, pause } from "../core/clock.ts";
import { type DrainRequest, giveNotice } from "../core/drain.ts";
import { FanoutError } from "../core/errors.ts";
import { checkNames } from "../core/ranges.ts";
import { sentOn } from "../core/sent-on.ts";
import { holdsGet } from "../core/session-client.ts";
import { type BusSeam, type FanoutBus, seamOf } from "./bus.ts";
import { createEntry } from "./entry.ts";
import { FleetRequest, type RequestHost } from "./fleet-request.ts";
import { type AuthInfoLike, expiryOf, type Identity, type IdentityOptions } from "./identity.ts";
import type { Listen } from "./listen.ts";
import { readJson } from "./session/body.ts";
import { eraOfBody, eraOfHeader } from "./session/era.ts";
import type { SessionFactory } from "./session/factory.ts";
import { createSessionServer } from "./session/handler.ts";
import { resolveSessionOptions, type SessionOptions } from "./session/options.ts";
import { refuseForNow } from "./session/refusal.ts";

export const DEFAULT_CATCH_UP_MS = 600_000;
const KNOWN: Readonly<Record<keyof FleetHandlerOptions, true>> = {
	...{ fanout: true, bus: true, catchUpMs: true, sessions: true, sessionOptions: true },
	...{ principal: true, tenant: true, identityTimeoutMs: true },
};
const LISTEN = "subscriptions/listen";
/** The share of a drain's grace in which listens are dropped, and the most steps it takes. */
const DRAIN_SPREAD = 0.8;
const MAX_DRAIN_STEPS = 200;

export interface FetchExtra {
	readonly authInfo?: AuthInfoLike | undefined;
	readonly parsedBody?: unknown;
}

export interface FetchHandler {
	fetch(request: Request, extra?: FetchExtra): Response | Promise<Response>;
	close?(): Promise<void>;
	readonly bus?: unknown;
	readonly notify?: unknown;
}

export interface FleetHandlerOptions extends IdentityOptions {
	readonly fanout: {
		bus(): FanoutBus;
		drain(how: DrainRequest): Promise<void>;
		/** Names this instance to proxies, on every answer. */
		readonly affinity?: { mark(response: Response): Response };
	};
	/** For a handler that does not show its bus: the one that it was built with. */
	readonly bus?: FanoutBus | undefined;
	/** A new listen is told what changed within this time. Default 10 minutes; 0 tells nothing. */
	readonly catchUpMs?: number | undefined;
	/** Builds the server of a 2025-era session, on whichever process its client comes to: no sticky routing. */
	readonly sessions?: SessionFactory | undefined;
	readonly sessionOptions?: SessionOptions | undefined;
}

export type FleetHandler<H extends FetchHandler = FetchHandler> = Pick<H, Extract<keyof H, "bus" | "notify">> & {
	fetch(request: Request, extra?: FetchExtra): Promise<Response>;
	/** Whether the request holds a stream: a listen, or a session's GET where there are sessions. */
	holds(request: Request): boolean;
	/** Open listens. */
	readonly listens: number;
	/** 2025-era sessions at work in this process. */
	readonly sessions: number;
	/**
	 * Not ready at once, and for `noticeMs` all goes on, so that balancers see it. Then refuses new listens and drops the
	 * open ones at a jittered pace, all within `graceMs`; other requests go on as long as sessions' calls run.
	 */
	drain(how: DrainRequest): Promise<void>;
	/** Drops every listen, then closes the handler. */
	close(): Promise<void>;
};

export function createFleetHandler<H extends FetchHandler>(handler: H, options: FleetHandlerOptions): FleetHandler<H> {
	checkNames("a fleet handler", options, KNOWN);
	const { deps } = claimBus(handler, options);
	const { clock, channels, scopes } = deps;
	const { catchUpMs = DEFAULT_CATCH_UP_MS } = options;
	if (!Number.isFinite(catchUpMs) || catchUpMs < 0) {
		throw new FanoutError("ConfigInvalid", `catchUpMs must be a number of milliseconds, not ${String(catchUpMs)}`);
	}
	const listens = new Set<Listen>();
	const host: RequestHost = { clock, catchUpMs, listens };
	const { sessions: factory, sessionOptions = {} } = options;
	const bounds = resolveSessionOptions(sessionOptions);
	const enter = createEntry(options, deps);
	const sessions = factory === undefined ? undefined : createSessionServer(deps.sessions, factory, sessionOptions);
	let isDraining = false;

	async function openListen(request: Request, extra: FetchExtra | undefined, identity: Identity): Promise<Response> {
		if (isDraining) return refuseForNow("this process is going away: try again");
		const held = identity.channels.map((channel) => channels.acquire(channel));
		try {
			// Subscriptions made after the acknowledgement would lose what comes between.
			await Promise.all(held.map((heard) => heard.opened));
			return await serve(request, extra, identity);
		} finally {
			for (const heard of held) channels.release(heard);
		}
	}

	async function serve(request: Request, extra: FetchExtra | undefined, identity: Identity): Promise<Response> {
		const scope = new FleetRequest(request, identity, host);
		const response = await scopes.run(scope, () => handler.fetch(request, extra));
		const carried = scope.carry(response, expiryOf(extra?.authInfo));
		if (isDraining) scope.listen?.drop();
		return carried;
	}

	/** A request of the 2025 era, or one that has to be read to know; undefined when the handler shall serve it. */
	async function serveSession(
		request: Request,
		extra: FetchExtra | undefined,
		identity: Identity,
	): Promise<Response | { readonly extra: FetchExtra | undefined }> {
		if (sessions === undefined || eraOfHeader(request) === "modern") return { extra };
		let parsedBody = extra?.parsedBody;
		if (request.method === "POST" && parsedBody === undefined) {
			const read = await readJson(request, bounds, clock);
			if (read instanceof Response) return read;
			parsedBody = read.body;
		}
		const passed = parsedBody === undefined ? extra : { ...extra, parsedBody };
		if (request.method === "POST" && eraOfBody(parsedBody) === "modern") return { extra: passed };
		const call = { request, authInfo: extra?.authInfo ?? undefined, identity, parsedBody };
		return (await sessions.serve(call)) ?? { extra: passed };
	}

	async function answer(request: Request, extra?: FetchExtra): Promise<Response> {
		const identity = await enter(request, extra?.authInfo ?? undefined);
		if (identity instanceof Response) return identity;
		const served = await serveSession(request, extra, identity);
		if (served instanceof Response) return served;
		const isListen = request.headers.get("mcp-method") === LISTEN;
		return isListen ? openListen(request, served.extra, identity) : serve(request, served.extra, identity);
	}

	const fleet = {
		async fetch(request: Request, extra?: FetchExtra): Promise<Response> {
			const answered = await answer(request, extra);
			const response = sessions === undefined ? answered : sentOn(request, answered);
			return options.fanout.affinity?.mark(response) ?? response;
		},
		holds(request: Request): boolean {
			return request.headers.get("mcp-method") === LISTEN || (sessions !== undefined && holdsGet(request));
		},
		get listens() {
			return listens.size;
		},
		get sessions() {
			return sessions?.size ?? 0;
		},
		async drain(how: DrainRequest) {
			const drained = options.fanout.drain(how);
			const goAway = async () => {
				const left = await giveNotice(how, clock);
				isDraining = true;
				await Promise.all([dropPaced([...listens], left * DRAIN_SPREAD, clock), sessions?.drain(left)]);
			};
			await Promise.all([drained, goAway()]);
		},
		async close() {
			isDraining = true;
			await sessions?.close();
			for (const listen of [...listens]) listen.drop();
			await handler.close?.();
		},
	};
	const shown = { bus: handler.bus ?? options.bus, ...("notify" in handler && { notify: handler.notify }) };
	return Object.defineProperties(shown, Object.getOwnPropertyDescriptors(fleet)) as unknown as FleetHandler<H>;
}

/** The handler's bus, ours and from now on scoped. */
function claimBus(handler: FetchHandler, { fanout, bus }: FleetHandlerOptions): BusSeam {
	const seam = seamOf(handler.bus ?? bus);
	if (seam === undefined) {
		throw new FanoutError(
			"ConfigInvalid",
			"the handler's bus is not a fanout's: build it with createMcpHandler(factory, { bus: fanout.bus() })",
		);
	}
	if (seam.deps !== seamOf(fanout.bus())?.deps) {
		throw new FanoutError("ConfigInvalid", "the handler's bus belongs to another fanout than the one given");
	}
	seam.scoped = true;
	return seam;
}

/** Each in its own slice of the time, so that their clients do not all come back at once. */
async function dropPaced(listens: readonly Listen[], spreadMs: number, clock: Clock): Promise<void> {
	const steps = Math.min(listens.length, MAX_DRAIN_STEPS);
	const startedAt = clock.monotonic();
	for (let step = 0; step < steps; step += 1) {
		const at = ((step + Math.random()) * spreadMs) / steps;
		await pause(clock, Math.max(0, at - (clock.monotonic() - startedAt)), undefined, true);
		const [from, to] = [step, step + 1].map((edge) => Math.ceil((listens.length * edge) / steps));
		for (const listen of listens.slice(from, to)) listen.drop();
	}
}
