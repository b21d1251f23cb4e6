/**
 * Outgoing: from a message's channel and method to the lanes it enters. One publisher per transport that routing may
 * choose, all of a decision's lanes at once and each under the same deadline. With more than one transport, or when
 * asked for, every lane has a breaker and an outbox; their code is loaded only then.
 */
import type { Channel } from "./core/channel.ts";
import type { Clock } from "./core/clock.ts";
import type { Envelope } from "./core/envelope.ts";
import { FanoutError } from "./core/errors.ts";
import type { Gate, GateState } from "./core/gate.ts";
import type { Transport } from "./core/transport.ts";
import { emit } from "./observe/events.ts";
import type { LaneOutcome } from "./publish/item.ts";
import { Outbox, type OutboxState } from "./publish/outbox.ts";
import type { OutboxFile } from "./publish/outbox-file.ts";
import { createPublisher, type Publisher, type PublisherLimits } from "./publish/publisher.ts";
import { type Breakers, loadBreakers } from "./route/load-breakers.ts";
import {
	type BreakerOptions,
	DEFAULT_BREAKER,
	DEFAULT_FALLBACK,
	DEFAULT_OUTBOX,
	type FallbackStrategy,
	type OutboxOptions,
	type RoutingOptions,
} from "./route/options.ts";
import { createRouter, type Decision, type Router } from "./route/router.ts";

export interface TargetHealth {
	readonly lane: string;
	/** False until its transport has started, and while its connection is lost. */
	readonly connected: boolean;
	/** Absent without a breaker. */
	readonly breaker?: GateState;
	readonly outbox?: OutboxState;
}

export interface Outgoing {
	/** One that could not start with the others has: what is kept for it is offered in this turn. */
	started(transport: Transport): Promise<void>;
	decide(channel: Channel, method: string | undefined, sessions: number): Decision;
	/** What a decision's only lane answers in this turn, if it does: then nothing waits, and no promise is made. */
	accept(decision: Decision, envelope: Envelope): LaneOutcome | undefined;
	/** `early` is called with an envelope that waits for the lane that this process's client streams show it from. */
	publish(decision: Decision, envelope: Envelope, early: (envelope: Envelope) => void): Promise<LaneOutcome[]>;
	readonly health: readonly TargetHealth[];
	flush(): Promise<void>;
	/** Waits for what can still be sent of what is kept. */
	drained(): Promise<void>;
	/** Offers again what the outbox's file kept, before anything is published. */
	restore(): void;
	/**
	 * Checks what comes next, and changes nothing yet: throws ConfigInvalid. What it resolves with puts it in force, in
	 * one turn: lanes that stay keep their queues, and so their order; those that are not named get no more, and the
	 * promise of that call resolves when they have had their chance, and transports that were exchanged are idle.
	 */
	prepare(transports: readonly Transport[], options: OutgoingOptions): Promise<() => Promise<void>>;
	close(): void;
}

export interface OutgoingOptions {
	readonly timeoutMs: number;
	readonly publisher?: Partial<PublisherLimits> | undefined;
	readonly routing?: RoutingOptions | undefined;
	readonly fallbackStrategy?: FallbackStrategy | undefined;
	readonly breaker?: Partial<BreakerOptions> | undefined;
	readonly outbox?: Partial<OutboxOptions> | undefined;
	readonly priorities: Readonly<Record<string, number | undefined>>;
	/** Names of transports that are known and not enabled. */
	readonly disabled: readonly string[];
}

export interface OutgoingDeps {
	readonly clock: Clock;
	/** Absent: all are, and have started. */
	isConnected?(transport: Transport): boolean;
	isLate?(transport: Transport): boolean;
	random(): number;
	report(error: FanoutError): void;
}

interface Lane {
	readonly name: string;
	transport: Transport;
	readonly publisher: Publisher;
	gate: Gate | undefined;
	outbox: Outbox | undefined;
}

/**
 * Control addresses are not routed: the first transport that a fleet shares carries them, or the first where nothing is
 * shared.
 */
export function controlTransport(transports: readonly Transport[]): Transport | undefined {
	return transports.find(({ capabilities }) => capabilities.reach !== "process") ?? transports[0];
}

/** What a configuration makes of the transports: rules, and whether each target is guarded. */
interface Plan {
	readonly router: Router;
	readonly control: Decision;
	readonly fallback: FallbackStrategy;
	readonly breakers: Breakers | undefined;
}

async function planOf(transports: readonly Transport[], options: OutgoingOptions): Promise<Plan> {
	const targets = transports.map(({ name, capabilities }) => {
		return { name, reach: capabilities.reach, priority: options.priorities[name] };
	});
	const router = createRouter(options.routing, targets, options.disabled);
	const controlled = controlTransport(transports);
	const control: Decision = { lanes: controlled === undefined ? [] : [controlled.name], backup: false };
	const isGuarded = transports.length > 1 || options.breaker !== undefined || options.outbox !== undefined;
	const breakers = isGuarded ? await loadBreakers() : undefined;
	return { router, control, fallback: options.fallbackStrategy ?? DEFAULT_FALLBACK, breakers };
}

export async function createOutgoing(
	transports: readonly Transport[],
	options: OutgoingOptions,
	deps: OutgoingDeps,
): Promise<Outgoing> {
	const { clock, random, report } = deps;
	let lanes = new Map<string, Lane>();
	let plan = await planOf(transports, options);
	let limits = { timeoutMs: options.timeoutMs, ...options.publisher };
	// All breakers and outboxes read these two: what is changed in them is true of all from then on.
	const breaker = { ...DEFAULT_BREAKER, ...options.breaker };
	const kept = { ...DEFAULT_OUTBOX, ...options.outbox };
	const file = await openFile(options.outbox?.file, { clock, report });

	function gateOf(lane: string): Gate | undefined {
		const gate = plan.breakers?.createBreaker({ clock, random, options: breaker });
		let last: GateState = "closed";
		gate?.onChange((state) => {
			// A probe that comes due is a change for publishers only.
			if (state !== last) emit("breaker", { lane, state });
			last = state;
		});
		return gate;
	}

	function outboxOf(lane: string): Outbox | undefined {
		if (plan.breakers === undefined || kept.maxEnvelopes === 0) return undefined;
		return new Outbox({ lane, clock, limits: kept, report, file });
	}

	function restore({ name, publisher, outbox }: Lane): void {
		if (file !== undefined && outbox !== undefined) publisher.restore(file.load(name));
	}

	/** What is too old of lanes that are not there: those that are have seen to theirs. */
	function expire(): void {
		for (const { lane, count } of file?.expire(clock.now() - kept.maxAgeMs, [...lanes.keys()]) ?? []) {
			const message = `${count} envelopes that were queued for ${lane} are lost: older than ${kept.maxAgeMs} ms`;
			report(new FanoutError("DeadlineExceeded", message, { data: { lane, dropped: count } }));
		}
	}

	function laneOf(transport: Transport): Lane {
		const { name } = transport;
		const gate = gateOf(name);
		const outbox = outboxOf(name);
		return {
			name,
			transport,
			gate,
			outbox,
			publisher: createPublisher(transport, { ...deps, limits, gate, outbox }),
		};
	}

	/** Of a transport that has just started, what its breaker knows is of the one before, or of when it had not. */
	function change(lane: Lane, transport: Transport, isNew = transport !== lane.transport): Promise<void> {
		const gate = isNew || lane.gate === undefined ? gateOf(lane.name) : undefined;
		// Who follows the events would take it for open for good.
		if (gate !== undefined && (lane.gate?.state ?? "closed") !== "closed") {
			emit("breaker", { lane: lane.name, state: "closed" });
		}
		lane.transport = transport;
		lane.gate = gate ?? lane.gate;
		lane.outbox ??= outboxOf(lane.name);
		return lane.publisher.change({ transport, limits, gate, outbox: lane.outbox });
	}

	/** No longer routed to, and not closed yet. */
	const leaving = new Set<Lane>();
	async function retire(lane: Lane): Promise<void> {
		leaving.add(lane);
		await lane.publisher.flush();
		await lane.publisher.drained(limits.timeoutMs);
		lane.publisher.close();
		leaving.delete(lane);
	}

	for (const transport of transports) lanes.set(transport.name, laneOf(transport));
	// Decisions are few and kept by the router; each is resolved once.
	const resolved = new WeakMap<Decision, readonly Publisher[]>();
	const publishersOf = (decision: Decision): readonly Publisher[] => {
		let publishers = resolved.get(decision);
		if (publishers === undefined) {
			publishers = decision.lanes.map((name) => (lanes.get(name) as Lane).publisher);
			resolved.set(decision, publishers);
		}
		return publishers;
	};
	const all = () => [...lanes.values(), ...leaving];
	/** What decisions become while their first lane is shut, by the lane that is first then: made once, as they are. */
	const turned = new WeakMap<Decision, Decision[]>();
	/** First is a lane that is not shut: who follows both shows what is sent now from that one, and has it after a resume. */
	function homed(decision: Decision): Decision {
		if (decision.lanes.length < 2) return decision;
		const first = decision.lanes.findIndex((name) => (lanes.get(name)?.gate?.state ?? "closed") === "closed");
		if (first < 1) return decision;
		const known = turned.get(decision) ?? [];
		turned.set(decision, known);
		known[first] ??= { ...decision, lanes: [decision.lanes[first] as string, ...decision.lanes.toSpliced(first, 1)] };
		return known[first];
	}

	return {
		async started(transport) {
			const lane = lanes.get(transport.name);
			if (lane?.transport === transport) await change(lane, transport, true);
		},
		decide: (channel, method, sessions) =>
			channel.kind === "instance" ? plan.control : homed(plan.router.decide(channel, method, sessions)),
		accept(decision, envelope) {
			const publishers = publishersOf(decision);
			return publishers.length === 1 ? (publishers[0] as Publisher).accept(envelope) : undefined;
		},
		async publish(decision, envelope, early) {
			const [first, ...rest] = publishersOf(decision).map((publisher) => publisher.publish(envelope));
			const outcome = (await first) as LaneOutcome;
			if (outcome.queued && (decision.backup || plan.fallback === "local")) early(envelope);
			return rest.length === 0 ? [outcome] : [outcome, ...(await Promise.all(rest))];
		},
		get health() {
			return [...lanes.values()].map(({ name, transport, gate, outbox }) => ({
				lane: name,
				connected: deps.isConnected?.(transport) ?? true,
				...(gate && { breaker: gate.state }),
				...(outbox && { outbox: outbox.state }),
			}));
		},
		async flush() {
			await Promise.all(all().map(({ publisher }) => publisher.flush()));
		},
		async drained() {
			await Promise.all(all().map(({ publisher }) => publisher.drained(limits.timeoutMs)));
		},
		restore() {
			for (const lane of lanes.values()) restore(lane);
			expire();
		},
		async prepare(next, to) {
			const nextPlan = await planOf(next, to);
			return async () => {
				// Who was guarded once stays so: what is kept must not be forgotten.
				plan = { ...nextPlan, breakers: nextPlan.breakers ?? plan.breakers };
				limits = { timeoutMs: to.timeoutMs, ...to.publisher };
				Object.assign(breaker, DEFAULT_BREAKER, to.breaker);
				Object.assign(kept, DEFAULT_OUTBOX, to.outbox);
				const before = lanes;
				lanes = new Map();
				const idle: Promise<void>[] = [];
				for (const transport of next) {
					const known = before.get(transport.name);
					const lane = known ?? laneOf(transport);
					lanes.set(lane.name, lane);
					before.delete(lane.name);
					if (known !== undefined) idle.push(change(lane, transport));
					else restore(lane);
				}
				await Promise.all([...idle, ...[...before.values()].map(retire)]);
			};
		},
		close() {
			for (const { publisher } of all()) publisher.close();
			file?.close();
		},
	};
}

/** SQLite is loaded only where a file is asked for. */
async function openFile(
	file: string | undefined,
	{ clock, report }: Pick<OutgoingDeps, "clock" | "report">,
): Promise<OutboxFile | undefined> {
	if (file === undefined) return undefined;
	const { openOutboxFile } = await import("./publish/outbox-file.ts");
	return openOutboxFile({ file, monotonic: () => clock.monotonic(), report });
}
