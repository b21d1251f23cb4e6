/** Makes the registry's bucket, or checks the one that is there: a fleet that disagrees on it must not start. */
import type { JetStreamManager } from "@nats-io/jetstream";
import type { KV } from "@nats-io/kv";
import type { NatsConnection } from "@nats-io/transport-node";
import { FanoutError } from "../core/errors.ts";
import { loadClient } from "./load.ts";

export interface BucketSettings {
	readonly bucket: string;
	readonly replicas: number;
	readonly storage: "file" | "memory";
	readonly retentionMs: number;
	readonly domain: string | undefined;
	/** One that is not there is an error, and is not made. */
	readonly mustExist?: boolean | undefined;
}

const NANOS = 1_000_000;
export const STREAM_NOT_FOUND = 10059;

export async function openBucket(
	connection: NatsConnection,
	{ bucket, replicas, storage, retentionMs, domain, mustExist }: BucketSettings,
): Promise<{ readonly kv: KV; readonly manager: JetStreamManager }> {
	const { Kvm } = loadClient("@nats-io/kv");
	const { jetstream, jetstreamManager } = loadClient("@nats-io/jetstream");
	const place = domain === undefined ? {} : { domain };
	const manager = await jetstreamManager(connection, place);
	if (mustExist) await insist(manager, bucket);
	const kvm = new Kvm(jetstream(connection, place));
	// Told after the write stands, and by headers only: `$KV` itself would tell refused writes too.
	const republish = { src: `$KV.${bucket}.>`, dest: `${bucket}.changes.>`, headers_only: true };
	await kvm.create(bucket, { replicas, storage, ttl: retentionMs, history: 1, allow_direct: true, republish });
	const { config } = await manager.streams.info(`KV_${bucket}`);
	const wanted = { replicas, storage, retentionMs, history: 1, direct: true, changes: republish.dest };
	const found = {
		replicas: config.num_replicas,
		storage: config.storage,
		retentionMs: config.max_age / NANOS,
		history: config.max_msgs_per_subject,
		direct: config.allow_direct,
		changes: config.republish?.dest,
	};
	const differing = Object.entries(wanted).filter(([name, value]) => found[name as keyof typeof found] !== value);
	if (differing.length > 0) {
		const list = differing.map(([name, value]) => `${name} is ${found[name as keyof typeof found]}, wanted ${value}`);
		throw new FanoutError("ConfigInvalid", `the bucket ${bucket} is another: ${list.join("; ")}`, {
			data: { bucket, found, wanted },
		});
	}
	// Without direct access a read is the leader's, so that it never shows a replica's past.
	return { kv: await kvm.open(bucket, { allow_direct: false }), manager };
}

async function insist(manager: JetStreamManager, bucket: string): Promise<void> {
	try {
		await manager.streams.info(`KV_${bucket}`);
	} catch (cause) {
		if ((cause as { code?: number }).code !== STREAM_NOT_FOUND) throw cause;
		const message = `there is no bucket ${bucket} yet`;
		throw new FanoutError("TransportUnavailable", message, {
			cause,
			retryable: true,
			data: { bucket, isAbsent: true },
		});
	}
}
