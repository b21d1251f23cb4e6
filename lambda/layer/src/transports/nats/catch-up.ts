/**
 * After a lost connection: everything that a partition took meanwhile, in a few requests whatever the number of followed
 * channels, handed over as if it had come live. Only where that is little enough, and all of it is still there; whatever
 * this leaves out, the ends that are asked for afterwards show.
 */
import type { BatchGet } from "./batch-get.ts";
import { type Known, saw } from "./known.ts";
import type { Partition } from "./partition.ts";
import { toEntry } from "./wire.ts";

/** Messages of the whole partition, of all channels. */
const MOST = 20_000;
const BATCH = 1_000;
const MAX_BYTES = 4 * 1024 * 1024;

export interface CatchUpDeps {
	readonly partition: Partition;
	readonly batchGet: BatchGet;
	/** The subject that captures the whole partition. */
	readonly capture: string;
	readonly followed: ReadonlyMap<string, Known>;
}

export async function catchUp(deps: CatchUpDeps): Promise<void> {
	const { partition, batchGet, capture, followed } = deps;
	const ready = new Map<string, Known>();
	let reached = Number.POSITIVE_INFINITY;
	for (const known of followed.values()) {
		if (!known.ready) continue;
		ready.set(known.address.log, known);
		reached = Math.min(reached, known.verified);
	}
	if (ready.size === 0) return;
	const before = partition.epoch;
	const { last, first, epoch } = await partition.inspect();
	// In another log nothing is verified, and its sequences start anew.
	if (epoch !== before) return;
	// More than a channel may have could hide that some of it is gone already.
	const most = Math.min(MOST, partition.limits.perChannel - 1);
	if (last - reached > most || first > reached + 1) return;
	while (reached < last) {
		const request = { seq: reached + 1, next_by_subj: capture, batch: BATCH, max_bytes: MAX_BYTES };
		const { messages } = await batchGet(partition.stream, request);
		// Nothing: this replica is behind.
		if (messages.length === 0 || partition.epoch !== epoch) return;
		for (const { seq, subject, data } of messages) {
			const known = ready.get(subject);
			reached = seq;
			if (known === undefined || seq <= known.last || followed.get(known.channel.key) !== known) continue;
			const entry = toEntry(known.channel, epoch, seq, known.last, data);
			saw(known, seq);
			known.subscriber.entry(entry);
		}
	}
	if (partition.epoch !== epoch) return;
	for (const known of ready.values()) known.verified = Math.max(known.verified, reached);
}
