/**
 * The composition root. The pipeline reads top to bottom here and nowhere else:
 *
 *   publish (one queue per channel) → route (lanes, fixed once) → transport (the lane's log)
 *           → deliver (one engine per transport: order, holes, hand-over) → stream (hub, client streams)
 */
import { createAffinity } from "./affinity.ts";
import { type Assembled, createAssembly } from "./assembly.ts";
import { type Configured, configured } from "./config/configured.ts";
import { type FanoutOptions, resolveOptions } from "./config/options.ts";
import { type Channel, createChannel, parseChannel } from "./core/channel.ts";
import { systemClock } from "./core/clock.ts";
import { checkNames, type Envelope, sealEnvelope, WRITTEN_VERSION } from "./core/envelope.ts";
import { asFanoutError, FanoutError } from "./core/errors.ts";
import { createIds } from "./core/ids.ts";
import { type Message, methodOf, type NotificationInput, parseMessage, parseNotification } from "./core/message.ts";
import { EarlyCopies } from "./deliver/early-copies.ts";
import { openFeed } from "./deliver/feed.ts";
import type { Fanout, PublishOptions } from "./fanout-port.ts";
import { createFollowing } from "./following.ts";
import { createBuses } from "./mcp/bus.ts";
import { HeardChannels } from "./mcp/heard-channels.ts";
import { undeliverable } from "./mcp/matrix.ts";
import { createRequestScopes } from "./mcp/request-scope.ts";
import { ambientTrace } from "./observe/ambient-trace.ts";
import { emit, isObserved } from "./observe/events.ts";
import { createStreamObserver } from "./observe/stream-observer.ts";
import { type Address, channelOf, createAddress, type Target } from "./publish/address.ts";
import type { LaneOutcome } from "./publish/item.ts";
import { type Receipt, tallyOf, toReceipt } from "./publish/receipt.ts";
import type { ReloadDeps, Reloads } from "./reload.ts";
import { createSessionHost } from "./session-host.ts";
import { openElsewhere, openStore } from "./session-store.ts";
import { createSessions } from "./sessions/sessions.ts";
import { createHub } from "./stream/hub.ts";
import { channelsOf, streamOptions } from "./stream/request.ts";
import { openResponse } from "./stream/response.ts";
import { openSse } from "./stream/sse.ts";
import { openWebSocket } from "./stream/websocket.ts";
import { TRANSPORTS } from "./transports/registry.ts";

export type { Fanout, Health, PublishOptions, TicketRequest } from "./fanout-port.ts";

export async function createFanout(given: FanoutOptions = {}): Promise<Fanout> {
	const { options, by } = await configured(given);
	let settings = resolveOptions(options);
	const { namespace, follow } = settings;
	const clock = options.clock ?? systemClock;
	const ids = options.ids ?? createIds(clock);
	const random = () => ids.random32() / 2 ** 32;
	const instanceId = ids.next();
	const affinity = options.affinity && createAffinity(options.affinity, instanceId, () => isReady());
	const report = (error: FanoutError) => {
		emit("error", { stage: "fanout", error });
		try {
			options.onerror?.(error);
		} catch (thrown) {
			// What reports must not fail: a lane in the middle of a repair would stop there.
			emit("error", { stage: "onerror", error: asFanoutError(thrown, "Unsupported", "onerror threw") });
		}
	};

	const observer = createStreamObserver(clock);
	const traceOf = ambientTrace(options.traceparent);
	const parts = { clock, ids, instanceId };
	const assembly = await createAssembly({ ...options, ...settings }, { ...parts, random, report });
	const { outgoing, transports, followed } = assembly;
	const following = createFollowing({
		mode: follow,
		transports: followed,
		clock,
		random,
		report,
		// On AWS following is a connection of its own, which a function must not keep; publishing needs none.
		follower: async (transport) =>
			transport.name === "aws" && settings.aws !== undefined
				? TRANSPORTS.aws({ ...settings.aws, follow: true }, parts)
				: transport,
		late: assembly.late,
		start: assembly.start,
		close: assembly.leave,
		async opened() {
			if (hasBus) await heard.acquire(createChannel("all", "", { namespace })).opened;
		},
		async ended() {
			heard.clear();
			await hub.end("shutdown");
		},
	});
	const { engines } = following;
	const earlyCopies = new EarlyCopies(clock, () => settings.outbox?.maxAgeMs);
	const feedDeps = { engines, clock, report, open: following.feeds, earlyCopies, observer };
	const hub = createHub({
		openFeed: (request, sink) => openFeed(feedDeps, request, sink),
		clock,
		ids,
		limits: settings.streams ?? {},
		observer,
		left: (session) => sessions.left(session),
	});
	const keeping = { transports, instanceId, clock, random, onerror: report };
	const sessions = createSessions({
		openStore: () => openStore({ ...keeping, settings }),
		get options() {
			return settings.registry;
		},
		...{ namespace, instance: instanceId, clock, ids, random, report, hasStreams: hub.follows },
		endStreams: (lost) => hub.endStreams(lost, "moved"),
	});
	const scopes = createRequestScopes();
	const heard = new HeardChannels({
		openFeed(channel, sink) {
			following.insist();
			return openFeed(feedDeps, { channels: [channel] }, sink);
		},
		transports: following.transports,
		clock,
		report,
	});
	// Held for good, so that what a bus is told of stands before this resolves.
	if (follow === true) await heard.acquire(createChannel("all", "", { namespace })).opened;
	let hasBus = false;
	const settling = new Set<() => Promise<void>>();
	let draining: Promise<void> | undefined;
	let closing: Promise<void> | undefined;

	const early = (envelope: Envelope): void => {
		hub.early(envelope);
		heard.early(envelope);
	};

	/** The receipt itself where the only lane answers in this turn; what is wrong by then is thrown, not rejected. */
	function send(
		channel: Channel,
		given: NotificationInput | Message,
		more: PublishOptions = {},
		parse: (given: unknown) => Message = parseNotification,
	): Receipt | Promise<Receipt> {
		if (closing !== undefined) throw new FanoutError("Closed", "the fanout is closed");
		const message = parse(given);
		const { id = ids.next(), trace = traceOf() } = more;
		if (more.id !== undefined || trace !== undefined) checkNames(id, trace);
		const route = outgoing.decide(channel, methodOf(message), hub.sessions);
		const fields = {
			v: WRITTEN_VERSION,
			id,
			channel,
			message,
			publishedAt: clock.now(),
			origin: instanceId,
			lanes: route.lanes,
		};
		const envelope = sealEnvelope(trace === undefined ? fields : { ...fields, trace });
		const started = isObserved("publish") ? clock.monotonic() : undefined;
		const accepted = outgoing.accept(route, envelope);
		const receiptOf = (outcomes: readonly LaneOutcome[]): Receipt => {
			if (started !== undefined) {
				emit("publish", { id, kind: channel.kind, ...tallyOf(outcomes), durationMs: clock.monotonic() - started });
			}
			return toReceipt(id, channel.key, route.lanes, outcomes, undeliverable(channel.kind, methodOf(message)));
		};
		if (accepted !== undefined) return receiptOf([accepted]);
		return outgoing.publish(route, envelope, early).then(receiptOf);
	}
	const publish = async (...sent: Parameters<typeof send>): Promise<Receipt> => send(...sent);

	/** In a fleet handler's request, and in what its session's server does: the request's tenant. */
	const ownScope = () => ({ namespace, tenant: scopes.getStore()?.tenant });
	const to = (target: Target): Address => {
		const channel = channelOf(target, ownScope());
		return createAddress((notification) => publish(channel, notification));
	};
	/** Who is refused in any case hears it on his own connection: what is thrown at a request ends the process. */
	const insist = () => hub.isReady && following.insist();
	const sessionHost = createSessionHost({
		...{ namespace, instanceId, clock, follow, hold: following.hold, settling, sessions, hub, report },
		...{ transports: followed, engines, feeds: following.feeds },
		within: (tenant, task) => scopes.run({ tenant }, task),
		publish: (channel, message) => publish(channel, message, {}, parseMessage),
	});
	const hearers = { channels: heard, scopes, sessions: sessionHost };
	const bus = createBuses({ namespace, clock, ...hearers, send, onerror: report });
	const everyone = createAddress((notification) => publish(createChannel("all", "", ownScope()), notification));

	const reloads = await startReloads(given, { ...options, ...settings }, by, {
		clock,
		report,
		keepsSessions: () => sessions.isOpen,
		async exchange(to, signal) {
			if (follow === "held") throw new FanoutError("Unsupported", "a fanout that is held reads its file at its start");
			const exchange = () => assembly.exchange(to, following, signal);
			const exchanged = await sessions.exchange(() => openElsewhere(settings, { ...keeping, settings: to }), exchange);
			settings = to;
			hub.limit(to.streams ?? {});
			return exchanged;
		},
	});

	async function shut(): Promise<void> {
		const steps = [
			() => reloads?.close(),
			() => outgoing.flush(),
			() => outgoing.drained(),
			() => outgoing.close(),
			() => hub.close(),
			() => sessions.close(),
			() => heard.close(),
			() => following.close(),
			() => assembly.close(),
		];
		for (const step of steps) {
			try {
				await step();
			} catch (error) {
				// What fails to close keeps nothing else from closing.
				report(asFanoutError(error, "TransportUnavailable", "something did not close cleanly"));
			}
		}
	}

	const isReady = () => hub.isReady && draining === undefined && closing === undefined;

	return {
		instanceId,
		namespace,
		...(affinity && { affinity }),
		notify: everyone.notify,
		to,
		sessions,
		publish: async (channel, notification, more) => send(parseChannel(channel.key), notification, more),
		bus() {
			hasBus = true;
			return bus();
		},
		sse(req, res, request = {}) {
			insist();
			affinity?.write(res);
			return openSse(hub, req, res, streamOptions(request, namespace));
		},
		response(request, { headers, ...rest } = {}) {
			insist();
			const own = { ...affinity?.headers(), ...headers };
			return openResponse(hub, request, { ...streamOptions(rest, namespace), headers: own });
		},
		websocket(ws, request = {}) {
			insist();
			return openWebSocket(hub, ws, streamOptions(request, namespace));
		},
		async issueTicket({ ttlSeconds, ...request }) {
			if (settings.aws === undefined)
				throw new FanoutError("Unsupported", "tickets are for the aws transport's WebSocket API");
			const { issueCellTicket } = await import("./transports/aws/index.ts");
			const channels = channelsOf(request, namespace);
			return issueCellTicket(settings.aws, clock, { namespace, channels, principal: request.principal, ttlSeconds });
		},
		health: () => ({
			ready: isReady(),
			transports: transports.map(({ place }) => place),
			streams: hub.size,
			sessions: hub.sessions,
			owned: sessions.owned,
			lanes: engines.reduce((sum, engine) => sum + engine.lanes, 0),
			targets: outgoing.health,
		}),
		hold: () => following.hold(),
		async settle() {
			await Promise.all([...settling].map((task) => task()));
		},
		flush: () => outgoing.flush(),
		rest() {
			for (const transport of transports) transport.rest?.();
			sessions.rest();
		},
		async drain(how) {
			draining ??= sessions.drain(how, (left) => hub.drain(left));
			return draining;
		},
		async reload() {
			if (reloads !== undefined) return reloads.reload();
			throw new FanoutError("Unsupported", "no file configures this fanout, so there is none to read again");
		},
		close() {
			closing ??= shut();
			return closing;
		},
	};
}

/** What reads a file again is loaded only where one was read. */
async function startReloads(
	given: FanoutOptions,
	first: Assembled,
	by: Configured["by"],
	deps: Pick<ReloadDeps, "clock" | "exchange" | "keepsSessions" | "report">,
): Promise<Reloads | undefined> {
	const { file } = by ?? {};
	if (by === undefined || file === undefined) return undefined;
	const { createReloads } = await import("./reload.ts");
	return createReloads({ ...deps, given, by: { ...by, file }, first });
}
