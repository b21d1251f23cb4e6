/** What goes wrong and when: drawn from a seed alone, so that the same seed makes the same schedule. */
import { createRandom, type Random } from "../support/random.ts";

export type Fault =
	| { readonly kind: "kill-instance" | "freeze-instance"; readonly instance: number; readonly forMs: number }
	/** Cut off from the brokers: connections end, or stand and carry nothing. */
	| { readonly kind: "refuse" | "hold"; readonly instance: number; readonly forMs: number }
	| { readonly kind: "slow"; readonly instance: number; readonly forMs: number; readonly delayMs: number }
	| { readonly kind: "redials"; readonly instance: number; readonly refusals: number; readonly forMs: number }
	/** Deliveries are lost, repeated and late. */
	| { readonly kind: "mangle"; readonly instance: number; readonly forMs: number }
	| { readonly kind: "kill-broker"; readonly forMs: number }
	| { readonly kind: "freeze-broker"; readonly forMs: number }
	| { readonly kind: "cut-clients"; readonly forMs: number }
	| { readonly kind: "next-version"; readonly instance: number; readonly forMs: number }
	/** Held still past its lease, and replaced meanwhile. */
	| { readonly kind: "stale-owner"; readonly instance: number; readonly forMs: number }
	/** One of several lanes is gone for long enough that breakers open; others carry, and early copies are shown. */
	| { readonly kind: "lane-dead"; readonly forMs: number };

export type FaultKind = Fault["kind"];
export type Planned = Fault & { readonly atMs: number };

export const FAULT_KINDS: readonly FaultKind[] = [
	"kill-instance",
	"freeze-instance",
	"refuse",
	"hold",
	"slow",
	"redials",
	"mangle",
	"kill-broker",
	"freeze-broker",
	"cut-clients",
	"next-version",
	"stale-owner",
	"lane-dead",
];

/** Milliseconds, least and most. A publish has a deadline of 5 s: some faults last longer. */
const DURATION: Record<FaultKind, readonly [number, number]> = {
	"kill-instance": [0, 3_000],
	"freeze-instance": [500, 7_000],
	refuse: [200, 4_000],
	hold: [500, 7_000],
	slow: [1_000, 4_000],
	redials: [500, 500],
	mangle: [1_000, 4_000],
	"kill-broker": [0, 2_000],
	"freeze-broker": [200, 4_000],
	"cut-clients": [0, 0],
	"next-version": [500, 500],
	"stale-owner": [2_000, 3_000],
	"lane-dead": [2_000, 4_000],
};
const GAP_MS = [300, 2_000] as const;
/** After a fault of a broker: elections, and a log that is loaded again. */
const BROKER_REST_MS = 3_000;

const BROKER_KINDS: readonly FaultKind[] = ["kill-broker", "freeze-broker", "lane-dead"];

const between = (random: Random, [least, most]: readonly [number, number]) => least + random.below(most - least + 1);

export interface ScheduleOptions {
	readonly seed: number;
	readonly forMs: number;
	readonly instances: number;
	readonly kinds?: readonly FaultKind[];
}

export function drawSchedule({ seed, forMs, instances, kinds = FAULT_KINDS }: ScheduleOptions): Planned[] {
	const random = createRandom(seed);
	const planned: Planned[] = [];
	/** Until when an instance, or the brokers, have enough trouble. */
	const busy = new Map<number | "brokers", number>();
	let kindsLeft: FaultKind[] = [];
	for (let atMs = between(random, GAP_MS); atMs < forMs; atMs += between(random, GAP_MS)) {
		// Each kind once before any comes again: short runs see many kinds.
		if (kindsLeft.length === 0) kindsLeft = [...kinds];
		const kind = random.pick(kindsLeft);
		const lasts = between(random, DURATION[kind]);
		const instance = random.below(instances);
		const delayMs = 20 + random.below(300);
		const refusals = 1 + random.below(4);
		const isBroker = BROKER_KINDS.includes(kind);
		const victim = isBroker ? "brokers" : instance;
		if (kind !== "cut-clients") {
			if ((busy.get(victim) ?? 0) > atMs) continue;
			busy.set(victim, atMs + lasts + (isBroker ? BROKER_REST_MS : 500));
		}
		kindsLeft = kindsLeft.filter((left) => left !== kind);
		planned.push({ ...faultOf(kind, { instance, forMs: lasts, delayMs, refusals }), atMs });
	}
	return planned;
}

interface Drawn {
	readonly instance: number;
	readonly forMs: number;
	readonly delayMs: number;
	readonly refusals: number;
}

function faultOf(kind: FaultKind, { instance, forMs, delayMs, refusals }: Drawn): Fault {
	if (kind === "kill-broker" || kind === "freeze-broker" || kind === "lane-dead" || kind === "cut-clients") {
		return { kind, forMs };
	}
	if (kind === "slow") return { kind, instance, forMs, delayMs };
	if (kind === "redials") return { kind, instance, forMs, refusals };
	return { kind, instance, forMs };
}

export function describeFault(fault: Fault): string {
	const { kind, forMs, ...more } = fault;
	const names = Object.entries(more).filter(([name]) => name !== "atMs");
	return [kind, ...names.map(([name, value]) => `${name} ${value}`), `for ${forMs} ms`].join(", ");
}
