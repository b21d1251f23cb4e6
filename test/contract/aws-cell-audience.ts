/**
 * End clients of one channel: connections that break and answers that are lost, and above each the receiving client's own
 * lane, whose history is taken down. The cell's side is real tables; the gateway is this file.
 */
import { randomUUID } from "node:crypto";
import type { WireEntry } from "../../lambda/layer/src/client/frames.ts";
import { readFrame } from "../../lambda/layer/src/client/frames.ts";
import { createLane, type Lane } from "../../lambda/layer/src/client/lane.ts";
import type { Channel } from "../../lambda/layer/src/core/channel.ts";
import { CONNECTION_SECONDS } from "../../lambda/layer/src/transports/aws/cell/connections.ts";
import type { Poster } from "../../lambda/layer/src/transports/aws/cell/poster.ts";
import { encodePage } from "../../lambda/layer/src/transports/aws/wire.ts";
import type { History } from "../support/history.ts";
import type { Random } from "../support/random.ts";
import { named } from "./aws-cell-mailroom.ts";
import type { World } from "./aws-cell-world.ts";

export interface Audience {
	readonly poster: Poster;
	readonly counts: { readonly pages: number; readonly posts: number; readonly broken: number };
	/** A new end client, following. */
	open(): Promise<void>;
	/** Resolves when no client is reading or connecting. */
	settled(): Promise<void>;
}

interface Client {
	readonly name: string;
	readonly lane: Lane;
}

export function createAudience(world: World, channel: Channel, history: History, random: Random): Audience {
	const byConnection = new Map<string, Client>();
	const busy = new Set<Promise<void>>();
	const counts = { pages: 0, posts: 0, broken: 0 };
	const place = "here";

	function track(work: Promise<void>): void {
		busy.add(work);
		work.finally(() => busy.delete(work));
	}

	async function read(lane: () => Lane, from: Parameters<ReturnType<World["log"]>["rows"]>[1]): Promise<void> {
		counts.pages += 1;
		const page = await world.log().rows(channel.key, from, 100);
		const frame = readFrame(encodePage({ ref: 1, channel: channel.key, ...page }));
		if (frame?.t === "page") lane().page(frame);
	}

	async function subscribe(client: Client, stands: () => void): Promise<void> {
		const id = randomUUID();
		byConnection.set(id, client);
		const expiresAt = Math.floor(world.clock.now() / 1000) + CONNECTION_SECONDS;
		await world.connections().follow({ id, api: "client", expiresAt }, [channel.key]);
		const end = await world.log().end(channel.key);
		stands();
		client.lane.subscribed(end);
	}

	/** The connection is gone; its client comes back on another. */
	function lose(id: string): void {
		const client = byConnection.get(id);
		if (client === undefined) return;
		byConnection.delete(id);
		counts.broken += 1;
		client.lane.lost();
		track(subscribe(client, () => history.resumed(client.name)));
	}

	return {
		counts,
		poster: {
			async post({ id }, text) {
				if (random.below(200) === 0) lose(id);
				const client = byConnection.get(id);
				if (client === undefined) throw named("GoneException");
				counts.posts += 1;
				const frame = readFrame(text);
				if (frame?.t === "entries") client.lane.entries(frame.entries);
				if (random.below(200) === 0) throw named("TimeoutError"); // it arrived, and nobody heard so
			},
			close: async ({ id }) => lose(id),
		},
		async open() {
			const name = randomUUID();
			const lane: Lane = createLane(undefined, {
				deliver({ id }: WireEntry) {
					history.received(name, id as string);
					return true;
				},
				missing: (reason) => history.told(name, reason),
				read: (from) => track(read(() => lane, from)),
			});
			const spec = { id: name, namespace: channel.namespace, channels: [channel.key], place };
			await subscribe({ name, lane }, () => history.opened(spec));
		},
		async settled() {
			while (busy.size > 0) await Promise.all(busy);
		},
	};
}
