/**
 * What the brokers hold after a run: a message that a log has twice was accepted twice, one that it has once and a
 * stream saw twice was delivered twice. Tells a broker's fault from ours.
 */
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import type { ValkeyServer } from "../support/valkey.ts";

export interface StoredTwice {
	readonly id: string;
	readonly places: readonly string[];
}

const DATA = /"data":"([^"]+)"/;

function twice(found: readonly (readonly [id: string, place: string])[]): StoredTwice[] {
	const byId = Map.groupBy(found, ([id]) => id);
	return [...byId]
		.filter(([, places]) => places.length > 1)
		.map(([id, places]) => ({ id, places: places.map(([, place]) => place) }));
}

export async function storedTwiceInNats(servers: readonly string[]): Promise<StoredTwice[]> {
	const nc = await connect({ servers: [...servers] });
	const found: [string, string][] = [];
	try {
		const jsm = await jetstreamManager(nc);
		for await (const { config, state } of jsm.streams.list()) {
			for (let seq = state.first_seq; seq <= state.last_seq; seq += 1) {
				const message = await jsm.streams.getMessage(config.name, { seq }).catch(() => null);
				const id = DATA.exec(message?.string() ?? "")?.[1];
				if (message === null || id === undefined) continue;
				const batch = message.header.get("Nats-Batch-Id");
				const how = batch === "" ? "singly" : `in batch ${batch}`;
				found.push([id, `${config.name} ${seq} at ${message.time.toISOString()} ${how}`]);
			}
		}
	} finally {
		await nc.close();
	}
	return twice(found);
}

export async function storedTwiceInValkey(servers: readonly ValkeyServer[]): Promise<StoredTwice[]> {
	const found: [string, string][] = [];
	for (const { admin } of servers) {
		for (const key of await admin.keys("*")) {
			if ((await admin.type(key)) !== "stream") continue;
			for (const [entry, fields] of await admin.xrange(key, "-", "+")) {
				const id = DATA.exec(fields.join(" "))?.[1];
				if (id !== undefined) found.push([id, `${key} ${entry}`]);
			}
		}
	}
	return twice(found);
}
