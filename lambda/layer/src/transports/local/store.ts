/**
 * What the local transport's logs are kept in. The rings in memory are always the working copy; a store only has to
 * give them back after a restart. Drops and evictions are noted and written with the next batch: a crash before
 * that brings events back, which the bounds drop again. The floor is different: a position was handed out by it, so
 * `settle` writes what is noted before anyone is told the floor.
 */
import type { Durability } from "../../core/transport.ts";

export interface StoredEvent {
	readonly offset: number;
	readonly id: string;
	readonly at: number;
	/** The encoded envelope. */
	readonly text: string;
}

export interface StoredLog {
	readonly key: string;
	readonly base: number;
	readonly baseAt: number;
	/** Dense and ascending, from base + 1. */
	readonly events: readonly StoredEvent[];
}

export interface Snapshot {
	readonly epoch: string;
	/** Highest offset that was ever evicted, and the time of the newest event evicted. */
	readonly floor: number;
	readonly floorAt: number;
	/** Least recently used first. */
	readonly logs: readonly StoredLog[];
}

export interface Store {
	readonly durability: Durability;
	/** Throws a FanoutError when the store cannot be used. A store that has no past begins with this epoch. */
	open(freshEpoch: string): Snapshot;
	/** All or nothing, together with everything noted so far. Absent where nothing is kept. */
	append?(key: string, base: number, baseAt: number, events: Iterable<StoredEvent>): void;
	noteDrop(key: string, base: number, baseAt: number): void;
	noteEviction(key: string, floor: number, floorAt: number): void;
	settle(): void;
	close(): void;
}

export function createMemoryStore(): Store {
	return {
		durability: "memory",
		open: (epoch) => ({ epoch, floor: 0, floorAt: 0, logs: [] }),
		noteDrop() {},
		noteEviction() {},
		settle() {},
		close() {},
	};
}
