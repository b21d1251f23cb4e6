/**
 * Publishing: one message, or one atomic batch, of a channel is under way at a time (the publisher sees to it), so a
 * batch succeeds as a prefix. A re-offer goes one by one, since one duplicate refuses a whole batch. A duplicate means
 * that an earlier attempt was stored, perhaps by a leader that died before it republished: the subject is nudged, so
 * that subscribers look.
 */
import type { Channel } from "../../core/channel.ts";
import { type Envelope, encodeEnvelope } from "../../core/envelope.ts";
import { FanoutError } from "../../core/errors.ts";
import { methodOf } from "../../core/message.ts";
import { formatPosition } from "../../core/position.ts";
import type { Durability, Outcome } from "../../core/transport.ts";
import { type Ack, isNobody, noAck, readAck } from "./ack.ts";
import type { NatsConnection } from "./client.ts";
import type { Silence } from "./failure.ts";
import { methodLine, NUDGE, rawHeaders } from "./headers.ts";
import type { Inbox } from "./inbox.ts";
import { MAX_BATCH } from "./options.ts";
import type { Partition } from "./partition.ts";
import { Room } from "./room.ts";
import type { Address, Subjects } from "./subjects.ts";

/** Open atomic batches in one stream; the server's bound for all instances together is 50. */
const ATOMIC_PER_STREAM = 24;
/** A process that only publishes asks for the partition's state this seldom, for the epoch's sake. */
const INSPECT_MS = 30_000;
const NOBODY_TRIES = 5;
const NOBODY_MS = 10;

export interface PublishDeps {
	readonly nc: NatsConnection;
	readonly inbox: Inbox;
	readonly subjects: Subjects;
	readonly partitions: readonly Partition[];
	readonly durability: Durability;
	readonly ackTimeoutMs: number;
	readonly maxInFlight: number;
	/** Makes batch ids unique in the fleet; short, since every message carries it. */
	readonly batchPrefix: string;
	monotonic(): number;
	pause(ms: number, signal: AbortSignal): Promise<void>;
	/** Asks a partition for its state; failures are reported there. */
	inspect(partition: Partition): Promise<void>;
}

export type Publish = (
	channel: Channel,
	batch: readonly Envelope[],
	mayExist: boolean,
	signal: AbortSignal,
) => Promise<Outcome[]>;

export function createPublish(deps: PublishDeps): Publish {
	const { nc, inbox, subjects, partitions, durability, ackTimeoutMs } = deps;
	const room = new Room(deps.maxInFlight);
	const atomics = partitions.map(() => new Room(ATOMIC_PER_STREAM));
	let batches = 0;

	function send(address: Address, envelope: Envelope, extra: string, reply: string | undefined): void {
		const id = `Nats-Msg-Id: ${address.idPrefix}:${envelope.id}\r\n`;
		const headers = rawHeaders(id + methodLine(methodOf(envelope.message)) + extra);
		nc.publish(address.log, encodeEnvelope(envelope), reply === undefined ? { headers } : { headers, reply });
	}

	function acknowledged(what: string, start: (reply: string) => void): Promise<Ack> {
		return new Promise((resolve) => {
			const waiter = {
				message(msg: Parameters<typeof readAck>[0]) {
					resolve(readAck(msg, what));
					return true;
				},
				failed: (reason: Silence) => resolve(noAck(reason, what, ackTimeoutMs)),
			};
			start(inbox.expect(waiter, ackTimeoutMs));
		});
	}

	/** Interest in a new or moved stream takes a moment to reach every node: nobody there is asked again, a few times. */
	async function offered(what: string, signal: AbortSignal, start: (reply: string) => void): Promise<Ack> {
		for (let attempt = 0; ; attempt += 1) {
			// Given up while it waited for room: what was published since would stand before it.
			if (signal.aborted) return { ok: false, uncertain: false, error: gaveUp() };
			const ack = await acknowledged(what, start);
			if (ack.ok || !isNobody(ack) || attempt >= NOBODY_TRIES) return ack;
			await deps.pause(NOBODY_MS * 2 ** attempt, signal);
		}
	}

	async function single(address: Address, envelope: Envelope, signal: AbortSignal): Promise<Ack> {
		await room.enter(1);
		try {
			return await offered("a publish to JetStream", signal, (reply) => send(address, envelope, "", reply));
		} finally {
			room.leave(1);
		}
	}

	/** All or nothing. */
	async function atomic(address: Address, batch: readonly Envelope[], signal: AbortSignal): Promise<Ack> {
		const atomicRoom = atomics[address.partition] as Room;
		await atomicRoom.enter(1);
		await room.enter(batch.length);
		try {
			const { length } = batch;
			return await offered("an atomic batch to JetStream", signal, (reply) => {
				const id = `${deps.batchPrefix}${(batches++).toString(36)}`;
				for (const [index, envelope] of batch.entries()) {
					const commit = index === length - 1;
					const extra = `Nats-Batch-Id: ${id}\r\nNats-Batch-Sequence: ${index + 1}\r\n${commit ? "Nats-Batch-Commit: 1\r\n" : ""}`;
					send(address, envelope, extra, commit ? reply : undefined);
				}
			});
		} finally {
			room.leave(batch.length);
			atomicRoom.leave(1);
		}
	}

	function nudge(address: Address, partition: Partition, seq: number): void {
		if (nc.isClosed()) return;
		const end = formatPosition(partition.position(seq));
		nc.publish(address.live, "", { headers: rawHeaders(`${NUDGE}: ${end}\r\n`) });
	}

	/** Another log's, perhaps: a sequence no higher than one that was there before, and the first on a connection. */
	async function settle(partition: Partition, seq: number, highestBefore: number): Promise<void> {
		if (seq <= highestBefore || partition.isDoubted) await deps.inspect(partition);
		else if (partition.worn(seq) || deps.monotonic() - partition.askedAt > INSPECT_MS) void deps.inspect(partition);
		partition.saw(seq);
	}

	const accepted = (partition: Partition, seq: number, duplicate: boolean): Outcome => ({
		ok: true,
		position: partition.position(seq),
		duplicate,
		durability,
		reach: "fleet",
	});

	async function oneByOne(address: Address, batch: readonly Envelope[], signal: AbortSignal): Promise<Outcome[]> {
		const partition = partitions[address.partition] as Partition;
		const outcomes: Outcome[] = [];
		let duplicate = 0;
		for (const envelope of batch) {
			if (signal.aborted) break;
			const before = partition.highest;
			const ack = await single(address, envelope, signal);
			if (!ack.ok) {
				// Nobody takes it: a stream that is gone is made again by the question.
				if (isNobody(ack)) void deps.inspect(partition);
				outcomes.push(ack);
				break;
			}
			if (ack.duplicate) duplicate = Math.max(duplicate, ack.seq);
			else await settle(partition, ack.seq, before);
			outcomes.push(accepted(partition, ack.seq, ack.duplicate));
		}
		if (duplicate > 0) nudge(address, partition, duplicate);
		return outcomes;
	}

	async function together(address: Address, batch: readonly Envelope[], signal: AbortSignal): Promise<Outcome[]> {
		const partition = partitions[address.partition] as Partition;
		const before = partition.highest;
		const ack = await atomic(address, batch, signal);
		if (ack.ok) {
			await settle(partition, ack.seq, before);
			// A batch's sequences follow one another.
			return batch.map((_, index) => accepted(partition, ack.seq - batch.length + 1 + index, false));
		}
		if (isNobody(ack)) void deps.inspect(partition);
		if (ack.uncertain || typeof ack.error.data.errCode !== "number") return [ack];
		// Refused as a batch: for a duplicate id, or too many open ones. Singly each says for itself.
		return oneByOne(address, batch, signal);
	}

	return async (channel, batch, mayExist, signal) => {
		const address = subjects.of(channel);
		const outcomes: Outcome[] = [];
		for (let at = 0; at < batch.length; ) {
			const part = batch.slice(at, at + MAX_BATCH.count);
			const atOnce = part.length > 1 && !mayExist;
			const taken = atOnce ? await together(address, part, signal) : await oneByOne(address, part, signal);
			outcomes.push(...taken);
			if (taken.length < part.length || !taken.every(({ ok }) => ok)) break;
			at += part.length;
		}
		return fill(outcomes, batch.length);
	};
}

/** After a failure all the rest fail with it; one failed outcome may stand for a whole batch, uncertainty included. */
function fill(outcomes: Outcome[], length: number): Outcome[] {
	if (outcomes.length >= length) return outcomes;
	const last = outcomes.at(-1);
	const rest: Outcome = last?.ok === false ? last : { ok: false, uncertain: false, error: gaveUp() };
	while (outcomes.length < length) outcomes.push(rest);
	return outcomes;
}

function gaveUp(): FanoutError {
	return new FanoutError("Aborted", "the publish was aborted", { retryable: true });
}
