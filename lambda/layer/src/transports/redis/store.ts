/**
 * The logs as scripts keep them: publish, ends, read, each a round trip per partition. All go through one connection per
 * node, so answers come in the order in which the scripts ran.
 */
import { createHash } from "node:crypto";
import type { Channel } from "../../core/channel.ts";
import { decodeEnvelope, type Envelope, encodeEnvelope } from "../../core/envelope.ts";
import { asFanoutError, FanoutError } from "../../core/errors.ts";
import { epochOf, type Position, parsePosition } from "../../core/position.ts";
import type { Ask, Bounds, Entry, Page, Verdict } from "../../core/transport.ts";
import type { Client } from "./client.ts";
import type { Keys } from "./keys.ts";
import { createKnowledge, type Knowledge } from "./knowledge.ts";
import type { RedisSettings } from "./options.ts";
import { ENDS, PUBLISH, READ } from "./scripts.ts";

/** Envelope bytes in one page, unless its first entry alone is more. */
const PAGE_BYTES = 256 * 1024;
const RENEW_MS = 60_000;

export interface Accepted {
	readonly position: Position;
	readonly duplicate: boolean;
}

/** A partition's epoch and its newest offset. */
export interface Tip {
	readonly epoch: string;
	readonly offset: number;
}

export interface Store {
	/** Makes or checks every partition; throws ConfigInvalid when the store has another number of them. */
	open(): Promise<void>;
	publish(channel: Channel, batch: readonly Envelope[]): Promise<Accepted[]>;
	/** Ends in a partition, as they are at its tip. */
	ends(partition: number, channels: readonly Channel[]): Promise<{ readonly tip: Tip; readonly bounds: Bounds[] }>;
	tip(partition: number): Promise<Tip>;
	/** What is followed in this partition has to be looked up now and then, so that it does not expire. */
	isRenewalDue(partition: number): boolean;
	read(ask: Ask): Promise<Page>;
	/** Something of this partition was heard. */
	saw(partition: number, epoch: string, offset: number): void;
}

export interface StoreDeps {
	readonly client: Client;
	readonly keys: Keys;
	readonly settings: RedisSettings;
	readonly sharded: boolean;
	monotonic(): number;
	random32(): number;
	report(error: FanoutError): void;
}

interface Script {
	readonly body: string;
	readonly sha: string;
}

const script = (body: string): Script => ({ body, sha: createHash("sha1").update(body).digest("hex") });
const SCRIPTS = { publish: script(PUBLISH), ends: script(ENDS), read: script(READ) };

export function createStore(deps: StoreDeps): Store {
	const { client, keys, settings } = deps;
	const { retentionMs, partitions } = settings;
	const knowledge: Knowledge[] = Array.from({ length: partitions }, createKnowledge);
	const renewedAt: number[] = Array.from({ length: partitions }, () => Number.NEGATIVE_INFINITY);
	const renewMs = Math.min(RENEW_MS, retentionMs / 4);

	/** Runs a script of a partition; every answer begins with its epoch and offset. */
	async function run(
		{ sha, body }: Script,
		partition: number,
		more: readonly string[],
		args: readonly (string | number)[],
	): Promise<unknown[]> {
		const known = knowledge[partition] as Knowledge;
		const told = known.tell();
		const all = [keys.meta(partition), ...more, partitions, epochOf(deps.random32()), told, ...args];
		let answer: unknown;
		try {
			answer = await client.evalsha(sha, more.length + 1, ...all);
		} catch (error) {
			// The server has not seen the script yet, or forgot it: nothing was done.
			if (!(error instanceof Error && error.message.startsWith("NOSCRIPT"))) throw error;
			answer = await client.eval(body, more.length + 1, ...all);
		}
		if (!Array.isArray(answer)) throw new FanoutError("TransportRefused", "a script answered no list");
		known.answered(told, String(answer[0]), Number(answer[1]));
		return answer;
	}

	const tipOf = ([epoch, offset]: readonly unknown[]): Tip => ({ epoch: String(epoch), offset: Number(offset) });
	const isRenewalDue = (partition: number) => deps.monotonic() - (renewedAt[partition] as number) >= renewMs;

	function entryOf(channel: Channel, [offset, epoch, prev, text]: readonly string[]): Entry {
		const position = parsePosition(`${epoch}.${offset}`);
		const place = { position, prev: { epoch: position.epoch, offset: BigInt(prev ?? 0) } };
		const envelope = envelopeOf(channel, text ?? "", deps.report);
		return envelope === undefined ? place : { ...place, envelope };
	}

	return {
		async open() {
			// The first alone: where it refuses, the others must not be made.
			await run(SCRIPTS.ends, 0, [], [retentionMs, "0"]);
			await Promise.all(
				Array.from({ length: partitions - 1 }, (_, index) => run(SCRIPTS.ends, index + 1, [], [retentionMs, "0"])),
			);
		},
		async publish(channel, batch) {
			const partition = keys.partitionOf(channel);
			const more = [
				keys.state(partition, channel),
				keys.log(partition, channel),
				keys.ids(partition, channel, 0),
				keys.ids(partition, channel, 1),
				keys.live(partition),
			];
			const answer = await run(SCRIPTS.publish, partition, more, [
				settings.maxEventsPerChannel,
				retentionMs,
				settings.dedupMs,
				channel.key,
				deps.sharded ? "SPUBLISH" : "PUBLISH",
				...batch.flatMap((envelope) => [envelope.id, encodeEnvelope(envelope)]),
			]);
			return batch.map((_, index) => ({
				position: parsePosition(answer[2 + 2 * index]),
				duplicate: answer[3 + 2 * index] === 1,
			}));
		},
		isRenewalDue,
		tip: async (partition) => tipOf(await run(SCRIPTS.ends, partition, [], [retentionMs, "0"])),
		async ends(partition, channels) {
			const more = channels.flatMap((channel) => [keys.state(partition, channel), keys.log(partition, channel)]);
			const renew = isRenewalDue(partition);
			const answer = await run(SCRIPTS.ends, partition, more, [retentionMs, renew ? "1" : "0"]);
			if (renew) renewedAt[partition] = deps.monotonic();
			const bounds = channels.map((_, index) => {
				const end = parsePosition(answer[2 + 2 * index]);
				const oldest = answer[3 + 2 * index];
				return { end, oldest: oldest === "" ? end : parsePosition(oldest) };
			});
			return { tip: tipOf(answer), bounds };
		},
		async read({ channel, from, limit }) {
			const partition = keys.partitionOf(channel);
			const more = [keys.state(partition, channel), keys.log(partition, channel)];
			const since = "sinceMs" in from ? String(Math.floor(from.sinceMs)) : "";
			const [epoch, offset] = "sinceMs" in from ? ["", "0"] : [from.epoch, String(from.offset)];
			const most = Math.max(1, Math.floor(limit));
			const answer = await run(SCRIPTS.read, partition, more, [epoch, offset, most, PAGE_BYTES, since]);
			const entries: Entry[] = [];
			for (let at = 4; at < answer.length; at += 4) {
				entries.push(entryOf(channel, answer.slice(at, at + 4) as string[]));
			}
			return { channel, entries, more: answer[3] === 1, verdict: answer[2] as Verdict };
		},
		saw: (partition, epoch, offset) => knowledge[partition]?.saw(epoch, offset),
	};
}

/** The envelope of a text from the store; none when it cannot be read or is another channel's: streams are told `gap`. */
export function envelopeOf(channel: Channel, text: string, report: (error: FanoutError) => void): Envelope | undefined {
	try {
		const envelope = decodeEnvelope(text);
		if (envelope.channel.key === channel.key) return envelope;
		report(new FanoutError("InvalidEnvelope", "an envelope of another channel in the log"));
	} catch (cause) {
		report(asFanoutError(cause, "InvalidEnvelope", "an envelope in the log cannot be read"));
	}
	return undefined;
}
