/**
 * The logs as scripts keep them: publish, ends, read, each a round trip per partition. All go through one connection per
 * node, so answers come in the order in which the scripts ran.
 */
import { createHash } from "node:crypto";
import type { Channel } from "../../core/channel.ts";
import { decodeEnvelope, type Envelope, encodeEnvelope } from "../../core/envelope.ts";
import { asFanoutError, FanoutError } from "../../core/errors.ts";
import { epochOf, type Position, parsePosition } from "../../core/position.ts";
import type { Ask, Entry, Page, Verdict } from "../../core/transport.ts";
import type { Client } from "./client.ts";
import { ENDS, TIPS } from "./ends-script.ts";
import type { Keys } from "./keys.ts";
import { createKnowledge, type Knowledge } from "./knowledge.ts";
import type { RedisSettings } from "./options.ts";
import { lifeMs, publishScripts } from "./publish-script.ts";
import { READ } from "./read-script.ts";

/** Envelope bytes in one page, unless its first entry alone is more. */
const PAGE_BYTES = 256 * 1024;
/** Partitions whose tips are one question: the server does nothing else meanwhile. */
const TIPS_PARTITIONS = 16;

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
	/** Ends in a partition, as they are at its tip; what is asked for lives on. */
	ends(partition: number, channels: readonly Channel[]): Promise<{ readonly tip: Tip; readonly ends: Position[] }>;
	/** Of each; none of one that does not stand as it did, or fails. */
	tips(partitions: readonly number[]): ReadonlyMap<number, Promise<Tip | undefined>>;
	read(ask: Ask): Promise<Page>;
	/** Something of this partition was heard. */
	saw(partition: number, epoch: string, offset: number): void;
}

export interface StoreDeps {
	readonly client: Client;
	readonly keys: Keys;
	readonly settings: RedisSettings;
	readonly sharded: boolean;
	random32(): number;
	report(error: FanoutError): void;
}

interface Script {
	readonly body: string;
	readonly sha: string;
}

const script = (body: string): Script => ({ body, sha: createHash("sha1").update(body).digest("hex") });
const [ENDS_SCRIPT, READ_SCRIPT, TIPS_SCRIPT] = [script(ENDS), script(READ), script(TIPS)];

export function createStore(deps: StoreDeps): Store {
	const { client, keys, settings } = deps;
	const { retentionMs, partitions } = settings;
	const knowledge: Knowledge[] = Array.from({ length: partitions }, createKnowledge);
	/** Epochs that stood, with what INFO says of their lines. */
	const lines: ({ readonly epoch: string; readonly line: string } | undefined)[] = [];

	const publishing = publishScripts(settings, deps.sharded ? "SPUBLISH" : "PUBLISH");
	const [PUBLISH_KNOWN, PUBLISH_OPENING] = [script(publishing.known), script(publishing.opening)];
	const life = lifeMs(retentionMs);

	async function evaluate(
		{ sha, body }: Script,
		keyCount: number,
		all: readonly (string | number)[],
	): Promise<unknown> {
		try {
			return await client.evalsha(sha, keyCount, ...all);
		} catch (error) {
			// The server has not seen the script yet, or forgot it: nothing was done.
			if (!(error instanceof Error && error.message.startsWith("NOSCRIPT"))) throw error;
			return client.eval(body, keyCount, ...all);
		}
	}

	function listOf(answer: unknown): readonly unknown[] {
		if (!Array.isArray(answer)) throw new FanoutError("TransportRefused", "a script answered no list");
		return answer;
	}

	/** Runs a script of a partition; every answer begins with its epoch and offset. */
	async function run(
		which: Script,
		partition: number,
		more: readonly string[],
		args: readonly (string | number)[],
	): Promise<readonly unknown[]> {
		const known = knowledge[partition] as Knowledge;
		const told = known.tell();
		const all = [keys.meta(partition), ...more, partitions, epochOf(deps.random32()), told, ...args];
		const answer = listOf(await evaluate(which, more.length + 1, all));
		known.answered(told, String(answer[0]), Number(answer[1]));
		return answer;
	}

	/** The tips of partitions that share a server; none of one that has to be opened or turned. */
	async function someTips(some: readonly number[]): Promise<ReadonlyMap<number, Tip>> {
		const found = new Map<number, Tip>();
		const told = some.map((partition) => (knowledge[partition] as Knowledge).tell());
		const all = [...some.map(keys.meta), partitions, ...told];
		const answer = listOf(await evaluate(TIPS_SCRIPT, some.length, all));
		for (const [index, partition] of some.entries()) {
			const tip = tipOf(answer.slice(2 * index));
			if (tip.epoch === "") continue;
			knowledge[partition]?.answered(told[index] as string, tip.epoch, tip.offset);
			found.set(partition, tip);
		}
		return found;
	}

	const tipOf = ([epoch, offset]: readonly unknown[]): Tip => ({ epoch: String(epoch), offset: Number(offset) });

	function entryOf(channel: Channel, [offset, epoch, prev, text]: readonly string[]): Entry {
		const position = parsePosition(`${epoch}.${offset}`);
		const place = { position, prev: parsePosition(`${epoch}.${prev ?? 0}`) };
		const envelope = envelopeOf(channel, text ?? "", deps.report);
		return envelope === undefined ? place : { ...place, envelope };
	}

	return {
		async open() {
			// The first alone: where it refuses, the others must not be made.
			await run(ENDS_SCRIPT, 0, [], [life]);
			await Promise.all(Array.from({ length: partitions - 1 }, (_, index) => run(ENDS_SCRIPT, index + 1, [], [life])));
		},
		async publish(channel, batch) {
			const partition = keys.partitionOf(channel);
			const more = [keys.state(partition, channel), keys.log(partition, channel), keys.live(partition)];
			for (const { id } of batch) more.push(keys.id(partition, channel, id));
			const args = [channel.key];
			for (const envelope of batch) args.push(encodeEnvelope(envelope));
			const { epoch = "", line = "" } = lines[partition] ?? {};
			const known = knowledge[partition] as Knowledge;
			const at = known.at(epoch) ?? 0;
			if (at > 0) {
				const all = [keys.meta(partition), ...more, epoch, at, line, ...args];
				const answer = await evaluate(PUBLISH_KNOWN, more.length + 1, all);
				if (typeof answer === "number") {
					known.saw(epoch, answer);
					const before = answer - batch.length;
					return batch.map((_, index) => ({
						position: { epoch, offset: before + 1 + index },
						duplicate: false,
					}));
				}
				if (answer !== null) {
					const list = listOf(answer);
					known.saw(epoch, Number(list[1]));
					return acceptedOf(list, batch.length);
				}
			}
			const answer = await run(PUBLISH_OPENING, partition, more, args);
			lines[partition] = { epoch: String(answer[0]), line: `master_replid:${answer[2]}` };
			return acceptedOf(answer, batch.length);
		},
		tips(asked) {
			const tips = new Map<number, Promise<Tip | undefined>>();
			const most = deps.sharded ? 1 : TIPS_PARTITIONS;
			for (let at = 0; at < asked.length; at += most) {
				const some = asked.slice(at, at + most);
				const found = someTips(some).catch(() => undefined); // looked up instead, which tells what failed
				for (const partition of some)
					tips.set(
						partition,
						found.then((all) => all?.get(partition)),
					);
			}
			return tips;
		},
		async ends(partition, channels) {
			const more = channels.flatMap((channel) => [keys.state(partition, channel), keys.log(partition, channel)]);
			const answer = await run(ENDS_SCRIPT, partition, more, [life]);
			return { tip: tipOf(answer), ends: answer.slice(2).map(parsePosition) };
		},
		async read({ channel, from, limit }) {
			const partition = keys.partitionOf(channel);
			const more = [keys.state(partition, channel), keys.log(partition, channel)];
			const since = "sinceMs" in from ? String(Math.floor(from.sinceMs)) : "";
			const [epoch, offset] = "sinceMs" in from ? ["", "0"] : [from.epoch, String(from.offset)];
			const most = Math.max(1, Math.floor(limit));
			const answer = await run(READ_SCRIPT, partition, more, [epoch, offset, most, PAGE_BYTES, since]);
			const entries: Entry[] = [];
			for (let at = 4; at < answer.length; at += 4) {
				entries.push(entryOf(channel, answer.slice(at, at + 4) as string[]));
			}
			return { channel, entries, more: answer[3] === 1, verdict: answer[2] as Verdict };
		},
		saw: (partition, epoch, offset) => knowledge[partition]?.saw(epoch, offset),
	};
}

function acceptedOf(answer: readonly unknown[], count: number): Accepted[] {
	return Array.from({ length: count }, (_, index) => ({
		position: parsePosition(answer[3 + 2 * index]),
		duplicate: answer[4 + 2 * index] === 1,
	}));
}

/** The envelope of a text from the store; none when it cannot be read or is another channel's: streams are told `gap`. */
export function envelopeOf(channel: Channel, text: string, report: (error: FanoutError) => void): Envelope | undefined {
	try {
		const envelope = decodeEnvelope(text, channel);
		if (envelope.channel.key === channel.key) return envelope;
		report(new FanoutError("InvalidEnvelope", "an envelope of another channel in the log"));
	} catch (cause) {
		report(asFanoutError(cause, "InvalidEnvelope", "an envelope in the log cannot be read"));
	}
	return undefined;
}
