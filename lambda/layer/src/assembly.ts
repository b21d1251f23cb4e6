/**
 * The transports that run and what is outgoing over them, and how they are exchanged while they do. An exchange is
 * checked and started beside what runs, put in force in one turn, and only then is the old let go: a transport that
 * stays keeps its queues and client streams; one that is added is followed before anything is routed to it; one that
 * is removed gets no more, has `timeoutMs` for what is queued, and then its client streams end with `gap`; one with
 * other settings is exchanged under its queues, and its client streams end with `moved` and resume.
 */
import { isDeepStrictEqual } from "node:util";
import type { FanoutOptions, FanoutSettings } from "./config/options.ts";
import { asFanoutError, FanoutError } from "./core/errors.ts";
import type { Transport } from "./core/transport.ts";
import type { Following } from "./following.ts";
import { emit } from "./observe/events.ts";
import { createOutgoing, type Outgoing } from "./outgoing.ts";
import { possibleLanes } from "./route/router.ts";
import { startTransports, type TransportState } from "./startup.ts";
import { TRANSPORTS, type TransportOptions, type TransportParts } from "./transports/registry.ts";

export interface AssemblyDeps extends TransportParts {
	random(): number;
	report(error: FanoutError): void;
	/** Default: the registry's. */
	readonly loaders?: typeof TRANSPORTS;
}

/** The caller's options, resolved. */
export type Assembled = FanoutOptions & FanoutSettings;

/** Transports by name. */
export interface Exchanged {
	readonly added: readonly string[];
	readonly removed: readonly string[];
	/** Started anew with other settings. */
	readonly replaced: readonly string[];
}

export interface Assembly {
	readonly outgoing: Outgoing;
	/** The same arrays for good: all, and those that client streams follow, since an envelope may enter their lanes. */
	readonly transports: readonly Transport[];
	readonly followed: readonly Transport[];
	/** One at a time. Rejects with everything as it was; after the signal aborts, nothing is put in force any more. */
	exchange(to: Assembled, following: Pick<Following, "add" | "swap">, signal: AbortSignal): Promise<Exchanged>;
	/** Resolves when one that could not start has; undefined when it has, or nobody tries again. */
	late(transport: Transport): Promise<void> | undefined;
	/** Starts what stands beside these; all of them, or none. */
	start(some: readonly Transport[]): Promise<void>;
	/** Closes one; what fails is reported. */
	leave(transport: Transport): Promise<void>;
	/** Closes the transports; what is outgoing is closed before. */
	close(): Promise<void>;
}

const NAMES = ["local", "nats", "redis", "aws"] as const satisfies readonly (keyof TransportOptions)[];
type Name = (typeof NAMES)[number];

/** What a transport is made from: its place among the others is not part of it. */
function ownOptions(options: TransportOptions[Name] | undefined): object | undefined {
	if (options === undefined) return undefined;
	const { enabled: _enabled, priority: _priority, ...own } = options as { enabled?: boolean; priority?: number };
	return Object.fromEntries(Object.entries(own).filter(([, value]) => value !== undefined));
}

/** What a rule made a lane of this process stays one: its client streams have positions there. */
function followedOf(
	transports: readonly Transport[],
	{ routing }: Assembled,
	before: readonly Transport[],
): Transport[] {
	const targets = transports.map((transport) => {
		return { name: transport.name, reach: transport.capabilities.reach, transport };
	});
	const lanes = new Set(possibleLanes(routing, targets).map(({ transport }) => transport));
	return transports.filter((transport) => lanes.has(transport) || before.includes(transport));
}

/** What local is made from is fixed while it is there (config/fixed.ts): a default that is written out is no other. */
function isSame(name: Name, was: Assembled, now: Assembled): boolean {
	if (name === "local") return now.local !== undefined;
	return isDeepStrictEqual(ownOptions(was[name]), ownOptions(now[name]));
}

export async function createAssembly(first: Assembled, deps: AssemblyDeps): Promise<Assembly> {
	const { clock, random, report, loaders = TRANSPORTS } = deps;
	const stop = new AbortController();
	const make = async (name: Name, options: Assembled): Promise<Transport | undefined> => {
		const own = options[name];
		// Each loader takes its own options: the pair is one by its name.
		const load = loaders[name] as (options: unknown, parts: TransportParts) => Promise<Transport>;
		return own === undefined ? undefined : load(own, deps);
	};
	const states = new WeakMap<Transport, TransportState>();
	/** A client that dials again and again has lost its connection once. */
	const enter = (transport: Transport, state: TransportState): void => {
		if (states.get(transport) === state) return;
		states.set(transport, state);
		emit("transport", { name: transport.name, state });
	};
	const isConnected = (transport: Transport) => states.get(transport) === "connected";
	const leave = async (transport: Transport): Promise<void> => {
		try {
			await transport.close();
		} catch (error) {
			report(asFanoutError(error, "TransportUnavailable", `${transport.place} did not close cleanly`));
		}
		enter(transport, "closed");
	};

	let settings = first;
	const named = new Map<Name, Transport>();
	const transports: Transport[] = [];
	const followed: Transport[] = [];
	const late = new WeakMap<Transport, PromiseWithResolvers<void>>();
	const isWanted = (transport: Transport) => transports.includes(transport);
	let outgoing: Outgoing | undefined;
	const joined = async (transport: Transport) => outgoing?.started(transport);
	/** What runs is whole, and is not exchanged for less: whatever the first start was told. */
	const startAll = (
		some: readonly Transport[],
		{ startTimeoutMs }: Assembled,
		stop: AbortSignal,
		startup: Assembled["startup"] = "fail",
	) => startTransports(some, { clock, startup, startTimeoutMs, stop, enter, late, joined, isWanted, random, report });
	const isLate = (transport: Transport) => late.has(transport);
	try {
		for (const name of NAMES) {
			const transport = await make(name, first);
			if (transport === undefined) continue;
			named.set(name, transport);
			transports.push(transport);
		}
		transports.push(...(first.transports ?? []));
		followed.push(...followedOf(transports, first, []));
		outgoing = await createOutgoing(transports, first, { clock, random, report, isConnected, isLate });
		await startAll(transports, first, stop.signal, first.startup);
		outgoing.restore();
	} catch (error) {
		stop.abort();
		outgoing?.close();
		await Promise.all([...new Set([...transports, ...(first.transports ?? [])])].map(leave));
		throw error;
	}

	return {
		outgoing,
		transports,
		followed,
		late: (transport) => late.get(transport)?.promise,
		start: (some) => startAll(some, settings, stop.signal),
		leave,
		async exchange(to, following, signal) {
			const fresh = new Map<Name, Transport>();
			const old = new Map<Name, Transport>();
			let next: Transport[];
			let putInForce: () => Promise<void>;
			try {
				for (const name of NAMES) {
					const before = named.get(name);
					if (before !== undefined && isSame(name, settings, to)) continue;
					const transport = await make(name, to);
					if (transport !== undefined) fresh.set(name, transport);
					if (before !== undefined) old.set(name, before);
				}
				const stays = NAMES.flatMap((name) => fresh.get(name) ?? (old.has(name) ? [] : (named.get(name) ?? [])));
				next = [...stays, ...(first.transports ?? [])];
				putInForce = await outgoing.prepare(next, to);
				if (fresh.size > 0) await startAll([...fresh.values()], to, signal);
				if (signal.aborted) throw new FanoutError("Closed", "the fanout is closed");
			} catch (error) {
				await Promise.all([...fresh.values()].map(leave));
				throw error;
			}

			const added = [...fresh.keys()].filter((name) => !old.has(name));
			const replaced = [...fresh.keys()].filter((name) => old.has(name));
			const removed = [...old.keys()].filter((name) => !fresh.has(name));
			const nextFollowed = followedOf(next, to, followed);
			const isFollowed = (name: string) => followed.some((transport) => transport.name === name);
			await following.add(nextFollowed.filter(({ name }) => !isFollowed(name)));
			settings = to;
			for (const name of old.keys()) named.delete(name);
			for (const [name, transport] of fresh) named.set(name, transport);
			const ends = { moved: replaced.some(isFollowed), gap: removed.some(isFollowed) };
			transports.splice(0, transports.length, ...next);
			followed.splice(0, followed.length, ...nextFollowed);
			const left = following.swap(nextFollowed);
			const idle = putInForce();
			if (ends.moved) left.end("moved");
			await idle;
			if (ends.gap) left.end("gap");
			left.close();
			await Promise.all([...old.values()].map(leave));
			return { added, removed, replaced };
		},
		async close() {
			stop.abort();
			await Promise.all(transports.map(leave));
		},
	};
}
