/**
 * Where things are in the store. A channel belongs to one of a fixed number of partitions; all keys of a partition share
 * one hash tag, so that a script of it runs on one node of a cluster, and a reconnect costs partitions, not channels.
 */
import type { Channel } from "../../core/channel.ts";

export interface Keys {
	readonly partitions: number;
	partitionOf(channel: Channel): number;
	/** Epoch, offset, past epochs and number of partitions. */
	meta(partition: number): string;
	/** A channel's end and base. */
	state(partition: number, channel: Channel): string;
	/** A channel's entries. */
	log(partition: number, channel: Channel): string;
	/** The position that an envelope's id got, for as long as it is remembered. */
	id(partition: number, channel: Channel, id: string): string;
	/** What is published to the partition's followers. */
	live(partition: number): string;
	beat(partition: number, instance: string): string;
}

/** FNV-1a over the key's UTF-16 units; keys are percent-encoded ASCII. Must never change: it says where logs are. */
export function hash32(text: string): number {
	let hash = 0x811c9dc5;
	for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
	return hash >>> 0;
}

export function createKeys(prefix: string, partitions: number): Keys {
	const tags = Array.from({ length: partitions }, (_, partition) => `{${prefix}:${partition}}`);
	const tag = (partition: number) => tags[partition] as string;
	return {
		partitions,
		partitionOf: (channel) => hash32(channel.key) % partitions,
		meta: (partition) => `${tag(partition)}:meta`,
		state: (partition, channel) => `${tag(partition)}:end:${channel.key}`,
		log: (partition, channel) => `${tag(partition)}:log:${channel.key}`,
		id: (partition, channel, id) => `${tag(partition)}:id:${id}:${channel.key}`,
		live: (partition) => `${tag(partition)}:live`,
		beat: (partition, instance) => `${tag(partition)}:beat:${instance}`,
	};
}
