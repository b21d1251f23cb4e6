/**
 * The delivery engine of one transport: one lane, and so one subscription, for each followed channel however many
 * client streams follow it; end checks over all lanes; reads shared. A lane without followers lingers, so that a
 * client that comes back soon resumes from memory.
 */
import type { Channel } from "../core/channel.ts";
import type { Clock, Timer } from "../core/clock.ts";
import { placeCode } from "../core/cursor.ts";
import { withDeadline } from "../core/deadline.ts";
import { asFanoutError, FanoutError } from "../core/errors.ts";
import { nextTurn } from "../core/next-turn.ts";
import type { Position } from "../core/position.ts";
import type { Page, Transport } from "../core/transport.ts";
import { Lane } from "./lane.ts";
import { DEFAULT_LANE, type LaneHost, type LaneLimits } from "./lane-host.ts";
import { DEFAULT_READS, type ReadLimits, Reads } from "./reads.ts";
import type { Recent } from "./recent.ts";

export interface EngineLimits {
	readonly lane: LaneLimits;
	readonly reads: ReadLimits;
	/** Entries in a page. */
	readonly pageEntries: number;
	/** Encoded bytes of all lanes' windows together: of what is more the oldest goes, at the next check. */
	readonly windowBytes: number;
	/** How long a lane that nobody follows is kept, and how many of them. */
	readonly lingerMs: number;
	readonly lingering: number;
	/** Lanes in one question for ends, and its deadline. */
	readonly endsBatch: number;
	readonly endsTimeoutMs: number;
}

export const DEFAULT_ENGINE: EngineLimits = {
	lane: DEFAULT_LANE,
	reads: DEFAULT_READS,
	pageEntries: 100,
	windowBytes: 64 * 1024 * 1024,
	lingerMs: 10_000,
	lingering: 1_000,
	endsBatch: 500,
	endsTimeoutMs: 5_000,
};

/** Entries this old go first where windows are too large, then half as old, and so on. */
const OLD_MS = 600_000;
/** Between looks at the windows of a transport whose ends are not asked for. */
const TRIM_MS = 1_000;
/** Lanes that are compared with their ends in one turn. */
const TURN_LANES = 64;

export interface EngineDeps {
	readonly clock: Clock;
	random(): number;
	report(error: FanoutError): void;
	/** Resolves when a transport that could not start has; undefined for one that has. Absent: all have. */
	late?(transport: Transport): Promise<void> | undefined;
	readonly limits?: Partial<EngineLimits>;
}

export interface Engine {
	readonly transport: Transport;
	/** The transport's place as cursors say it. */
	readonly place: number;
	/** Its transport has not started: nobody need wait for its lanes, which open when it has. */
	readonly isLate: boolean;
	/** The lane of a channel, opened when it is the first; give it back with `release`. */
	acquire(channel: Channel): Lane;
	release(lane: Lane): void;
	/** Lanes that are followed or linger. */
	readonly lanes: number;
	close(): void;
}

export function createEngine(transport: Transport, deps: EngineDeps): Engine {
	const { clock } = deps;
	const limits: EngineLimits = { ...DEFAULT_ENGINE, ...deps.limits };
	const held = new Map<string, Lane>();
	const idle = new Set<Lane>();
	const place = placeCode(transport.place);
	const reads = new Reads(transport, clock, limits.reads);
	const stop = new AbortController();
	let checkTimer: Timer | undefined;
	/** What failed checks were told as since one that did not fail: an outage is told once, not with each check. */
	const told = new Set<string>();

	async function ends(channels: readonly Channel[]): Promise<(Position | undefined)[]> {
		const what = `the ends of ${channels.length} lanes at ${transport.place}`;
		const ask = (signal: AbortSignal) => transport.ends(channels, signal);
		try {
			return await withDeadline(clock, limits.endsTimeoutMs, what, ask, stop.signal);
		} catch (error) {
			throw asFanoutError(error, "TransportUnavailable", "an end check failed", true);
		}
	}

	const host: LaneHost = {
		clock,
		limits: limits.lane,
		hasWindow: transport.capabilities.reach !== "process",
		random: deps.random,
		get late() {
			return deps.late?.(transport);
		},
		subscribe: (channel, lane) => transport.subscribe(channel, lane),
		read: (channel: Channel, from: Position): Promise<Page> => reads.read({ channel, from, limit: limits.pageEntries }),
		async end(channel) {
			const [end] = await ends([channel]);
			if (end === undefined) throw new FanoutError("TransportRefused", `${transport.place} gave no end`);
			return end;
		},
		place,
		report: (error) => {
			if (!stop.signal.aborted) deps.report(error);
		},
	};

	function trimWindows(windows: readonly Recent[]): void {
		const now = clock.now();
		const isOver = () => windows.reduce((sum, { bytes }) => sum + bytes, 0) > limits.windowBytes;
		for (let ageMs = OLD_MS; ageMs >= 1 && isOver(); ageMs /= 2)
			for (const window of windows) window.forget(now - ageMs);
	}

	async function checkEnds(): Promise<void> {
		const all = [...held.values()];
		trimWindows(all.flatMap(({ recent }) => recent ?? []));
		if (transport.capabilities.endCheckMs <= 0) return;
		const lanes = all.filter((lane) => lane.state === "live");
		const waiting = all.filter((lane) => lane.state === "opening" || lane.state === "filling");
		// Where nothing is live, one that waits says whether the transport answers.
		const [first] = lanes.length > 0 ? [] : waiting;
		let answers = false;
		if (first !== undefined)
			answers = await host.end(first.channel).then(
				() => true,
				() => false,
			);
		const most = transport.capabilities.endsBatch ?? limits.endsBatch;
		let failed = false;
		for (let at = 0; at < lanes.length && !stop.signal.aborted; at += most) {
			try {
				await checkSome(lanes.slice(at, at + most));
				answers = true;
			} catch (error) {
				failed = true;
				const failure = asFanoutError(error, "TransportUnavailable", "an end check failed", true);
				if (!told.has(failure.code)) host.report(failure);
				told.add(failure.code);
			}
		}
		if (answers && !failed) told.clear();
		// After failures lanes wait longer and longer: an outage that is over must not last for them.
		if (answers) for (const lane of waiting) lane.hurry();
	}

	async function checkSome(lanes: readonly Lane[]): Promise<void> {
		const asked = lanes.map((lane) => lane.seen);
		const found = await ends(lanes.map((lane) => lane.channel));
		for (const [index, lane] of lanes.entries()) {
			const end = found[index];
			if (end !== undefined) lane.compare(end, asked[index] as Position);
			// Entries that came meanwhile need not wait for all of them.
			if (index % TURN_LANES === TURN_LANES - 1) await new Promise((resolve) => nextTurn(resolve));
		}
	}

	function scheduleCheck(tookMs = 0): void {
		const { endCheckMs } = transport.capabilities;
		if (stop.signal.aborted || (endCheckMs <= 0 && !host.hasWindow)) return;
		// The stated bound covers one lost check: half of it from one to the next, also where a check takes its time.
		const waitMs = endCheckMs <= 0 ? TRIM_MS : Math.max(endCheckMs / 8, endCheckMs / 2 - tookMs);
		checkTimer = clock.after(waitMs, () => {
			const startedAt = clock.monotonic();
			checkEnds().finally(() => scheduleCheck(clock.monotonic() - startedAt));
		});
	}

	function drop(lane: Lane): void {
		lane.linger?.cancel();
		idle.delete(lane);
		held.delete(lane.channel.key);
		lane.close();
	}

	scheduleCheck();
	return {
		transport,
		place,
		get isLate() {
			return host.late !== undefined;
		},
		acquire(channel) {
			if (stop.signal.aborted) throw new FanoutError("Closed", "the engine is closed");
			let lane = held.get(channel.key);
			// One that the transport ended has no subscription any more: who comes back needs a new one.
			if (lane?.state === "closed") drop(lane);
			if (lane === undefined || lane.state === "closed") {
				lane = new Lane(channel, host);
				held.set(channel.key, lane);
			}
			lane.users += 1;
			lane.linger?.cancel();
			lane.linger = undefined;
			idle.delete(lane);
			return lane;
		},
		release(lane) {
			if (held.get(lane.channel.key) !== lane) return;
			lane.users -= 1;
			if (lane.users > 0) return;
			idle.add(lane);
			lane.linger = clock.after(limits.lingerMs, () => drop(lane));
			if (idle.size > limits.lingering) drop(idle.values().next().value as Lane);
		},
		get lanes() {
			return held.size;
		},
		close() {
			if (stop.signal.aborted) return;
			stop.abort(new FanoutError("Closed", "the engine is closed"));
			checkTimer?.cancel();
			for (const lane of [...held.values()]) drop(lane);
			reads.close();
		},
	};
}
