/**
 * One session in this process, from being opened or taken over to its end: the application's server on our transport.
 * Taking over is an initialize fed from the record, its answer swallowed; a server that negotiates another version or
 * can less than the client was told is no match. What the client sets by a request (log level, subscriptions) is in
 * the record before the client hears of its success, and the session's servers in other processes are told it as soon as
 * they hear of it.
 */
import type { Channel } from "../../core/channel.ts";
import type { Timer } from "../../core/clock.ts";
import { withDeadline } from "../../core/deadline.ts";
import { asFanoutError, FanoutError } from "../../core/errors.ts";
import { isLogLevel } from "../../core/log-level.ts";
import type { Response as Answer, Request as Ask, Message, Notification, RequestId } from "../../core/message.ts";
import type { Json } from "../../sessions/record.ts";
import type { AuthInfoLike } from "../identity.ts";
import { Attention, type Listening } from "./ear.ts";
import type { ServerLike, SessionAuth, SessionFactory } from "./factory.ts";
import { MAX_SUBSCRIPTIONS, MAX_URI_LENGTH, type SessionFacts } from "./facts.ts";
import type { SessionHost } from "./host.ts";
import type { Looks } from "./looks.ts";
import { INTERNAL_ERROR, shown } from "./refusal.ts";
import type { SessionStore, StoredSession } from "./store.ts";
import { type Asker, SessionTransport } from "./transport.ts";

/** A factory, a connect or an initialize that takes longer has failed. */
export const BUILD_TIMEOUT_MS = 10_000;

/** A call that takes longer is worth a connection, by which its client can cancel it through another process. */
export const HEAR_AFTER_MS = 500;

export const INITIALIZED = "notifications/initialized";

export interface LiveDeps {
	readonly host: SessionHost;
	readonly store: SessionStore;
	looks(): Looks;
	readonly factory: SessionFactory;
	/** The record changed by this request; resolves when the client may hear of it. */
	changed(stored: StoredSession, request: Ask): Promise<void>;
	ended(session: LiveSession): void;
	/** Where this process is told things only while it listens. */
	readonly listen: (() => Promise<Listening>) | undefined;
}

export interface Visit {
	readonly request: Request;
	readonly authInfo: AuthInfoLike | undefined;
}

export class LiveSession {
	readonly channel: Channel;
	readonly principal: string | undefined;
	readonly transport: SessionTransport;
	/** As the record last said. */
	stored: StoredSession | undefined;
	verifiedAt: number;
	usedAt: number;
	isEnded = false;
	/** Its record is gone: it has ended everywhere. */
	isGone = false;
	/** Its server is initialised, and its record written. */
	isReady = false;
	/** It was opened elsewhere, or here before it rested. */
	readonly isAdopted: boolean;
	readonly #deps: LiveDeps;
	readonly #observed = new Map<RequestId, Ask>();
	#state: Json;
	/** What its server was told of what the client set. */
	#level: string | undefined;
	readonly #uris = new Set<string>();
	/** What the client told it here, until the record says so. */
	readonly #unwritten = new Set<Ask>();
	#server: ServerLike | undefined;
	#silent = 0;
	readonly #attention: Attention | undefined;
	#longCall: Timer | undefined;

	constructor(deps: LiveDeps, channel: Channel, principal: string | undefined, stored?: StoredSession) {
		this.#deps = deps;
		this.channel = channel;
		this.principal = principal;
		this.stored = stored;
		this.isAdopted = stored !== undefined;
		this.#state = stored?.state ?? null;
		this.verifiedAt = deps.host.clock.monotonic();
		this.usedAt = this.verifiedAt;
		this.#attention = deps.listen && new Attention(deps.listen);
		this.transport = new SessionTransport(channel.id, {
			instanceId: deps.host.instanceId,
			hear: (isAsk) => this.#attention?.wait(isAsk),
			publish: (message) => deps.host.publish(channel, message),
			answered: (answer) => this.#answered(answer),
			act: (task) => deps.host.within(channel.tenant, task),
			report: deps.host.report,
			closed: () => this.#closed(),
		});
	}

	get state(): Json {
		return this.#state;
	}

	refresh(stored: StoredSession): void {
		this.stored = stored;
		this.#state = stored.state;
		this.verifiedAt = this.#deps.host.clock.monotonic();
		if (this.isReady) this.#catchUp(stored.facts, undefined);
	}

	/** Tells the server what the client set through other processes. In order, and so handed over in one turn. */
	async #catchUp({ logLevel: level, uris }: SessionFacts, visit: Visit | undefined): Promise<void> {
		const told: Promise<unknown>[] = [];
		// What the client told it just now the record does not say yet.
		const unwritten = new Set([...this.#unwritten].map(subjectOf));
		const tell = (method: string, params: Readonly<Record<string, unknown>>) => {
			const ask: Notification = { jsonrpc: "2.0", method, params };
			if (unwritten.has(subjectOf(ask))) return;
			this.#toldBy(ask);
			told.push(this.feed(ask, visit));
		};
		const wanted = new Set(uris);
		if (level !== undefined && level !== this.#level) tell("logging/setLevel", { level });
		for (const uri of this.#uris) if (!wanted.has(uri)) tell("resources/unsubscribe", { uri });
		for (const uri of wanted) if (!this.#uris.has(uri)) tell("resources/subscribe", { uri });
		await Promise.all(told);
	}

	/** Builds the server and feeds it the client's initialize; its answer. */
	async initialize(params: SessionFacts["initialize"], visit: Visit, adopted: boolean): Promise<Answer> {
		const { host, factory } = this.#deps;
		return withDeadline(host.clock, BUILD_TIMEOUT_MS, "building a session's server", async () => {
			const session = { id: this.channel.id, principal: this.principal, adopted, state: this.#appState() };
			const { request, authInfo } = visit;
			const auth = authInfo === undefined ? {} : { authInfo: authInfo as SessionAuth };
			const context = { era: "legacy" as const, ...auth, requestInfo: request, session };
			const server = await host.within(this.channel.tenant, () => factory(context));
			// It was given up meanwhile: nobody would close this one.
			if (this.isEnded) await server.close();
			if (this.isEnded) throw new FanoutError("Closed", "the session ended while its server was built");
			this.#server = server;
			await server.connect(this.transport);
			return this.feed({ jsonrpc: "2.0", method: "initialize", params }, visit);
		});
	}

	/** Takes the session over as its record says; false when this process's server does not match it. */
	async adopt({ facts }: StoredSession, visit: Visit): Promise<boolean> {
		const answer = await this.initialize(facts.initialize, visit, true);
		const { protocolVersion, capabilities } = (answer.result ?? {}) as Readonly<Record<string, unknown>>;
		if (protocolVersion !== facts.protocol) return false;
		const can = Object.keys(typeof capabilities === "object" && capabilities !== null ? capabilities : {});
		if (Object.keys(facts.capabilities).some((name) => !can.includes(name))) return false;
		const extra = extraOf(visit);
		this.transport.notify({ jsonrpc: "2.0", method: INITIALIZED }, extra);
		// What the client sets meanwhile, it is told as well.
		for (let known: SessionFacts | undefined; known !== this.stored?.facts; ) {
			known = this.stored?.facts ?? facts;
			await this.#catchUp(known, visit);
		}
		return true;
	}

	/** A request of ours to the server, under an id that no client has; no one else hears of it. */
	feed({ method, params = {} }: Notification, visit: Visit | undefined): Promise<Answer> {
		this.#silent += 1;
		const id = `mcp-fanout:${this.#deps.host.instanceId}:${this.#silent}`;
		return new Promise((resolve) => {
			const asker: Asker = { answer: resolve, say: () => false, forget() {} };
			this.transport.request({ jsonrpc: "2.0", id, method, params }, asker, visit === undefined ? {} : extraOf(visit));
		});
	}

	/** A request of the client. */
	request(message: Ask, asker: Asker, extra: object): void {
		if (Object.hasOwn(CHANGES, message.method)) this.#observed.set(message.id, message);
		if (this.#attention !== undefined) this.#hearLater(this.#attention);
		this.transport.request(message, asker, extra);
	}

	#hearLater(attention: Attention): void {
		const { host } = this.#deps;
		this.#longCall ??= host.clock.after(HEAR_AFTER_MS, () => {
			this.#longCall = undefined;
			if (this.transport.requests === 0) return;
			const failed = (error: unknown) =>
				host.report(asFanoutError(error, "TransportUnavailable", "a call cannot be cancelled through other processes"));
			attention.wait(true)?.catch(failed);
		});
	}

	/** A notification of the client. */
	hear(message: Message, extra: object): void {
		// A server that took over was told so then.
		const isKnown = this.isAdopted && "method" in message && message.method === INITIALIZED;
		if (isKnown) return;
		if ("method" in message && message.method === "notifications/cancelled") {
			this.#observed.delete(message.params?.requestId as RequestId);
		}
		this.transport.notify(message, extra);
	}

	/** Here only; the record is another matter. `why` is told to who waits for an answer. */
	async end(why?: string): Promise<void> {
		try {
			await this.transport.close(why);
			await this.#server?.close();
		} catch (error) {
			this.#deps.host.report(asFanoutError(error, "Unsupported", "a session's server did not close"));
		}
	}

	#closed(): void {
		this.isEnded = true;
		this.#longCall?.cancel();
		this.#attention?.over();
		this.#observed.clear();
		this.#deps.ended(this);
	}

	async #answered(answer: Answer): Promise<Answer> {
		const asked = this.#observed.get(answer.id as RequestId);
		if (asked === undefined) return answer;
		this.#observed.delete(asked.id);
		if ("error" in answer) return answer;
		this.#toldBy(asked);
		this.#unwritten.add(asked);
		try {
			const change = CHANGES[asked.method] as Change;
			const amended = this.#amend(({ facts }) => ({ facts: change(facts, asked) }));
			const stored = await amended.finally(() => this.#unwritten.delete(asked));
			if (stored === undefined) return answer;
			this.refresh(stored);
			await this.#deps.changed(stored, asked);
			return answer;
		} catch (error) {
			// The server did it all the same.
			if (this.stored !== undefined) this.#catchUp(this.stored.facts, undefined);
			const failure = asFanoutError(error, "TransportUnavailable", "the session's record was not written");
			this.#deps.host.report(failure);
			return { jsonrpc: "2.0", id: asked.id, error: { code: INTERNAL_ERROR, message: shown(failure) } };
		}
	}

	#amend(change: Parameters<SessionStore["amend"]>[1]): Promise<StoredSession | undefined> {
		const { looks, store } = this.#deps;
		return looks().written(this.channel, store.amend(this.channel, change));
	}

	/** Its server knows. */
	#toldBy({ method, params }: Notification): void {
		if (method === "logging/setLevel") this.#level = String(params?.level);
		if (method === "resources/subscribe") this.#uris.add(String(params?.uri));
		if (method === "resources/unsubscribe") this.#uris.delete(String(params?.uri));
	}

	#appState() {
		const self = this;
		return {
			get value() {
				return self.#state;
			},
			async save(value: Json) {
				// Until there is a record there is none to amend: it is written with this.
				if (self.stored === undefined) {
					self.#state = value;
					return;
				}
				const stored = await self.#amend(() => ({ state: value }));
				if (stored === undefined) throw new FanoutError("Closed", "the session has ended");
				self.refresh(stored);
			},
		};
	}
}

/** What a request sets: two of one subject undo each other. */
const subjectOf = ({ params }: Notification): unknown => params?.uri ?? "";

type Change = (facts: SessionFacts, request: Ask) => SessionFacts;
const CHANGES: Readonly<Record<string, Change>> = {
	"logging/setLevel": (facts, { params }) => (isLogLevel(params?.level) ? { ...facts, logLevel: params.level } : facts),
	"resources/subscribe": (facts, { params }) => {
		const uri = params?.uri;
		// No stream's filter takes it, and the session's GET streams would be refused from then on.
		if (typeof uri !== "string" || uri === "" || uri.length > MAX_URI_LENGTH) {
			throw new FanoutError("InvalidFilter", `a resource's URI has 1 to ${MAX_URI_LENGTH} characters`);
		}
		const uris = [...new Set([...facts.uris, uri])];
		if (uris.length <= MAX_SUBSCRIPTIONS) return { ...facts, uris };
		throw new FanoutError("QueueFull", `a session subscribes to at most ${MAX_SUBSCRIPTIONS} resources`);
	},
	"resources/unsubscribe": (facts, { params }) => ({ ...facts, uris: facts.uris.filter((uri) => uri !== params?.uri) }),
};

/** What the SDKs' transports hand over beside a message: v1 reads `requestInfo`, v2 `request`. */
export function extraOf({ request, authInfo }: Visit): object {
	const requestInfo = { headers: Object.fromEntries(request.headers), url: new URL(request.url) };
	return authInfo === undefined ? { request, requestInfo } : { request, requestInfo, authInfo };
}
