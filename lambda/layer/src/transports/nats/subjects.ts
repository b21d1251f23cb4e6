/**
 * Where a channel is: `{prefix}.{cluster}.{partition}.{kind}.{token}`, one subject per channel. JetStream captures by
 * subject, so the partition stands in it. A channel's id may hold anything, so the token is a hash of its whole key:
 * no id can spell a wildcard, a separator or another channel. What is live has the same subject under `{prefix}-live`.
 */
import { hash } from "node:crypto";
import type { Channel } from "../../core/channel.ts";

export interface Address {
	readonly partition: number;
	/** Distinguishes the same envelope id on several channels. */
	readonly idPrefix: string;
	/** The subject in the log, and the one that the log republishes to. */
	readonly log: string;
	readonly live: string;
}

export interface Subjects {
	of(channel: Channel): Address;
	/** The same, remembered until it is released: a check of all that is followed must not hash each of them again. */
	hold(channel: Channel): Address;
	release(channel: Channel): void;
	/** A channel's live subject where there is no log. */
	bare(channel: Channel): string;
	/** The partition's stream; its capture; the subject of its epoch. */
	stream(partition: number): string;
	capture(partition: number): string;
	epoch(partition: number): string;
	/** Live copies of all epochs. */
	readonly liveEpochs: string;
	readonly republish: { readonly src: string; readonly dest: string };
}

const PLAIN = /^[A-Za-z0-9_-]{1,64}$/;
const TOKEN_CHARS = 22;
/** Addresses that are remembered besides, so that a channel is not hashed at every publish. */
const MAX_KNOWN = 16_384;
/** Of a token, in an id: ids are unique, but the same one may stand in several channels of a partition. */
const ID_CHARS = 8;

function clusterToken(namespace: string): string {
	return PLAIN.test(namespace) ? namespace : `=${hash("sha256", namespace, "base64url").slice(0, TOKEN_CHARS)}`;
}

function remember<T>(known: Map<string, T>, key: string, value: T): void {
	known.set(key, value);
	if (known.size > MAX_KNOWN) known.delete(known.keys().next().value as string);
}

export function createSubjects(prefix: string, partitions: number, streamName = prefix): Subjects {
	const known = new Map<string, Address>();
	const held = new Map<string, Address>();
	const bares = new Map<string, string>();
	const live = `${prefix}-live`;

	function of(channel: Channel): Address {
		let address = held.get(channel.key) ?? known.get(channel.key);
		if (address === undefined) {
			const digest = hash("sha256", channel.key, "buffer");
			const token = digest.toString("base64url", 0, 16);
			const partition = digest.readUInt32BE(16) % partitions;
			const path = `${clusterToken(channel.namespace)}.${partition}.${channel.kind}.${token}`;
			address = { partition, idPrefix: token.slice(0, ID_CHARS), log: `${prefix}.${path}`, live: `${live}.${path}` };
			remember(known, channel.key, address);
		}
		return address;
	}

	return {
		of,
		hold(channel) {
			const address = of(channel);
			held.set(channel.key, address);
			known.delete(channel.key);
			return address;
		},
		release: ({ key }) => void held.delete(key),
		bare(channel) {
			let subject = bares.get(channel.key);
			if (subject === undefined) {
				const token = hash("sha256", channel.key, "base64url").slice(0, TOKEN_CHARS);
				subject = `${live}.${clusterToken(channel.namespace)}.bare.${channel.kind}.${token}`;
				remember(bares, channel.key, subject);
			}
			return subject;
		},
		stream: (partition) => `${streamName}-${partition}`,
		capture: (partition) => `${prefix}.*.${partition}.>`,
		// No namespace is spelled "=", and no kind "epoch".
		epoch: (partition) => `${prefix}.=.${partition}.epoch.nonce`,
		liveEpochs: `${live}.=.*.epoch.nonce`,
		republish: { src: `${prefix}.>`, dest: `${live}.>` },
	};
}
