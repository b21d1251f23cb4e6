/**
 * What subscriptions hand over: republished entries, which name their sequence and the one before on the same subject,
 * and nudges, which name neither. Anything odd (an older sequence than one that was seen) is no entry's fault: the
 * leader is asked whether the log is still the same one.
 */
import type { Entry } from "../../core/transport.ts";
import type { Msg } from "./client.ts";
import { headerLines, headerOf, NUDGE } from "./headers.ts";
import type { Heard } from "./heard.ts";
import { type Known, saw } from "./known.ts";
import type { Partition } from "./partition.ts";
import { nudgedEnd, toEntry } from "./wire.ts";

export interface LiveDeps {
	readonly partition: Partition;
	readonly heard: Heard;
	/** Something does not fit this epoch. */
	doubt(): void;
}

export function handLive({ partition, heard, doubt }: LiveDeps, known: Known, msg: Msg): void {
	const lines = headerLines(msg, known.address.live);
	const seq = Number(headerOf(lines, "Nats-Sequence") || Number.NaN);
	if (!Number.isSafeInteger(seq) || seq <= 0) {
		nudged(partition, known, headerOf(lines, NUDGE));
		return;
	}
	const named = Number(headerOf(lines, "Nats-Last-Sequence"));
	const prev = named === 0 ? predecessor(known, seq, partition.limits.messages) : named;
	if (known.ready && seq <= known.heard) doubt();
	known.heard = seq;
	partition.saw(seq);
	// Only a chain without a hole says that nothing else is before it.
	if (known.ready && prev === known.last) {
		saw(known, seq);
		heard.add(seq);
	}
	const entry: Entry = toEntry(known.channel, partition.epoch, seq, prev, msg.data);
	known.subscriber.entry(entry);
}

/**
 * The server names no predecessor for a channel's first entry, nor for one whose predecessor expired. Nothing that came
 * after `verified` can have gone yet while fewer messages came than a partition keeps, so then it is the one we know.
 */
function predecessor(known: Known, seq: number, maxMessages: number): number {
	if (!known.ready || seq <= known.last) return 0;
	return seq - known.verified < maxMessages ? known.last : 0;
}

function nudged(partition: Partition, known: Known, text: string): void {
	const end = nudgedEnd(text);
	if (end === undefined || end.epoch !== partition.epoch || end.offset > known.last) {
		known.subscriber.suspect();
	}
}
