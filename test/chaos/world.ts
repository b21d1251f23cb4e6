/** A set of brokers that a chaos run can stand on, and what can happen to it. Every instance has links of its own. */
import type { Random } from "../support/random.ts";
import type { Splitter } from "./frames.ts";
import type { FleetOptions } from "./instance.ts";
import type { FaultKind } from "./schedule.ts";
import type { StoredTwice } from "./stored.ts";

export interface Broker {
	readonly name: string;
	kill(): Promise<void>;
	start(): Promise<void>;
	freeze(): Promise<void>;
	thaw(): void;
}

export interface World {
	readonly name: WorldName;
	/** A killed broker has forgotten its logs when it is back. */
	readonly forgets: boolean;
	/** A broker that another one replaces may take what was acknowledged with it. */
	readonly mayLose?: boolean;
	/** Brokers' ports, and the options of an instance that reaches them at these ports instead. */
	readonly ports: readonly number[];
	options(ports: readonly number[]): FleetOptions;
	/** For what comes from the port of this index. */
	readonly splitter: (index: number) => Splitter;
	/** The one whose loss hurts most just now. */
	leader(random: Random): Promise<Broker>;
	/** Resolves when brokers that came back have their place again, where that takes its time. */
	settled?(): Promise<void>;
	/** The part of the log that a session is in: each part has a leader of its own. */
	partOf(namespace: string, session: string): number;
	/** What the logs hold more than once. */
	storedTwice(): Promise<StoredTwice[]>;
	stop(): Promise<void>;
}

export const WORLD_NAMES = [
	"nats-r3",
	"nats-memory",
	"valkey-aof",
	"valkey-memory",
	"valkey-sentinel",
	"valkey-cluster",
	"two-lanes",
] as const;
export type WorldName = (typeof WORLD_NAMES)[number];

export const PREFIX = "fanout";
export const PARTITIONS = 4;

/**
 * What says nothing in a world: a lane among others needs others; a registry whose store forgets can fence nobody; what
 * a process keeps for a dead lane dies with the process, as its receipt says (`queued`).
 */
export const UNFIT_FAULTS: Readonly<Record<WorldName, readonly FaultKind[]>> = {
	"nats-r3": ["lane-dead"],
	"nats-memory": ["lane-dead", "stale-owner"],
	"valkey-aof": ["lane-dead"],
	"valkey-memory": ["lane-dead", "stale-owner"],
	"valkey-sentinel": ["lane-dead", "stale-owner"],
	"valkey-cluster": ["lane-dead", "stale-owner"],
	"two-lanes": ["kill-broker", "kill-instance"],
};
