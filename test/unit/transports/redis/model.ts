/**
 * Two channels of one partition on a real server, beside a memory of everything: what was accepted, what is gone and who
 * could know, and every position that was handed out. Operations are what happens to servers; `checkAll` reads them all.
 */
import type { Redis } from "ioredis";
import { expect } from "vitest";
import { type Channel, createChannel } from "../../../../lambda/layer/src/core/channel.ts";
import type { Envelope } from "../../../../lambda/layer/src/core/envelope.ts";
import type { Position } from "../../../../lambda/layer/src/core/position.ts";
import type { Verdict } from "../../../../lambda/layer/src/core/transport.ts";
import { createKeys, type Keys } from "../../../../lambda/layer/src/transports/redis/keys.ts";
import { resolveSettings } from "../../../../lambda/layer/src/transports/redis/options.ts";
import { createStore, type Store } from "../../../../lambda/layer/src/transports/redis/store.ts";
import type { Random } from "../../../support/random.ts";

export type Op =
	| { readonly do: "publish"; readonly channel: number; readonly fresh: number; readonly repeat: boolean }
	| { readonly do: "ends" | "trim" | "evict"; readonly channel: number }
	| { readonly do: "flush" | "rename" | "promote" | "copy" | "restore" | "restart" | "rollback" | "stranger" };

interface Handed {
	readonly channel: number;
	readonly position: Position;
	/** How many of the channel's events had been accepted before it. */
	seen: number;
	/** It is of a line that nobody but its holder remembers. */
	lost: boolean;
	/** When, in operations. */
	readonly at: number;
}

export class Model {
	readonly #client: Redis;
	readonly #random: Random;
	readonly channels: readonly Channel[];
	readonly keys: Keys;
	store: Store;
	readonly #prefix: string;
	readonly #accepted: string[][] = [[], []];
	readonly #envelopes: Envelope[][] = [[], []];
	readonly #handed: Handed[] = [];
	/** When everybody has to be told, or a channel's readers may be. */
	#lossAt = -1;
	readonly #evictedAt = [-1, -1];
	readonly #gone = [new Set<string>(), new Set<string>()];
	#copy: { dumps: [string, Buffer][]; accepted: number[]; epoch: string; offset: number; at: number } | undefined;
	/** The store that asks was told of all that was accepted. */
	#knows = false;
	#now = 0;

	constructor(prefix: string, client: Redis, random: Random) {
		this.#client = client;
		this.#random = random;
		this.#prefix = prefix;
		this.keys = createKeys(prefix, 1);
		this.channels = ["a", "b"].map((id) => createChannel("topic", id));
		this.store = this.#createStore();
	}

	#createStore(): Store {
		const settings = resolveSettings({ url: "redis://unused", prefix: this.#prefix, partitions: 1 });
		const random32 = () => this.#random.below(2 ** 32);
		const report = (error: Error) => {
			throw error;
		};
		return createStore({
			client: this.#client,
			keys: this.keys,
			settings,
			sharded: false,
			random32,
			report,
		});
	}

	async run(op: Op): Promise<void> {
		this.#now += 1;
		if ("channel" in op) {
			await this.#onChannel(op, op.channel, this.channels[op.channel] as Channel);
			if (op.do === "publish" || op.do === "ends") this.#knows = true;
		} else if (op.do === "flush") await this.#flush();
		else if (op.do === "copy") await this.#takeCopy();
		else if (op.do === "restore" || op.do === "restart") await this.#restore(op.do);
		// By hand, under a running server: only who knows better can tell.
		else if (op.do === "rollback" && this.#knows) await this.#restore(op.do);
		else if (op.do === "rollback") return;
		else if (op.do === "stranger") {
			// The last word of whoever goes: a loss that he took with him unsaid would be nobody's.
			if (this.#knows) await this.store.ends(0, this.channels.slice(0, 1));
			this.store = this.#createStore();
			this.#knows = false;
		} else await this.#turn(op.do);
	}

	async #onChannel(op: Op & { channel: number }, index: number, channel: Channel): Promise<void> {
		const log = this.keys.log(0, channel);
		if (op.do === "publish") await this.#publish(index, channel, op.fresh, op.repeat);
		else if (op.do === "ends") {
			const [end] = (await this.store.ends(0, [channel])).ends;
			if (end === undefined) throw new Error("no end");
			this.#hand(index, end);
			expect(await this.store.read({ channel, from: end, limit: 5 })).toMatchObject({
				verdict: "whole",
				entries: [],
			});
		} else if (op.do === "trim") {
			for (const [id, fields] of await this.#client.xrange(log, "-", "+", "COUNT", 1)) {
				await this.#client.xdel(log, id);
				this.#gone[index]?.add(JSON.parse(fields[5] as string).id);
			}
		} else {
			await this.#client.del(this.keys.state(0, channel));
			this.#evictedAt[index] = this.#now;
			for (const id of this.#accepted[index] as string[]) this.#gone[index]?.add(id);
		}
	}

	async #publish(index: number, channel: Channel, fresh: number, repeat: boolean): Promise<void> {
		const known = this.#envelopes[index] as Envelope[];
		const batch = Array.from({ length: fresh }, () => this.#envelope(channel));
		const old = known.at(-1);
		// Only what is still there is certainly known.
		if (repeat && old !== undefined && !this.#gone[index]?.has(old.id)) batch.push(old);
		if (fresh > 1) batch.push(batch[0] as Envelope);
		const accepted = await this.store.publish(channel, batch);
		for (const [at, { position, duplicate }] of accepted.entries()) {
			const envelope = batch[at] as Envelope;
			const isKnown = at >= fresh;
			expect(duplicate, `${envelope.id} in ${JSON.stringify(this.#accepted[index])}`).toBe(isKnown);
			if (isKnown) continue;
			this.#accepted[index]?.push(envelope.id);
			known.push(envelope);
			this.#hand(index, position);
		}
	}

	#envelope(channel: Channel): Envelope {
		const hex = () =>
			this.#random
				.below(2 ** 32)
				.toString(16)
				.padStart(8, "0");
		const [a, b, c, d] = [hex(), hex(), hex(), hex()];
		const id = `${a}-${b.slice(0, 4)}-${b.slice(4)}-${c.slice(0, 4)}-${c.slice(4)}${d}`;
		const message = { jsonrpc: "2.0", method: "notifications/message" } as const;
		return { v: 1, id, channel, message, publishedAt: 1, origin: "model", lanes: ["redis"] };
	}

	#hand(channel: number, position: Position): void {
		const seen = this.#accepted[channel]?.length ?? 0;
		this.#handed.push({ channel, position, seen, lost: false, at: this.#now });
	}

	async #names(): Promise<string[]> {
		return this.#client.keys(`{${this.#prefix}:*`);
	}

	#lose(): void {
		this.#lossAt = this.#now;
	}

	async #flush(): Promise<void> {
		const names = await this.#names();
		if (names.length > 0) await this.#client.del(...names);
		this.#lose();
		this.#evictedAt.fill(this.#now);
		for (const [index, ids] of this.#accepted.entries()) for (const id of ids) this.#gone[index]?.add(id);
	}

	/** As another replication id looks: of the same process, or of a promoted replica. */
	async #turn(how: "rename" | "promote"): Promise<void> {
		if ((await this.#client.exists(this.keys.meta(0))) === 0) return;
		await this.#client.call("DEBUG", "CHANGE-REPL-ID");
		if (how === "rename") return;
		await this.#client.hset(this.keys.meta(0), "run", "0123");
		this.#lose();
	}

	async #takeCopy(): Promise<void> {
		const dumps: [string, Buffer][] = [];
		for (const name of await this.#names()) {
			const dump = await this.#client.dumpBuffer(name);
			if (dump !== null) dumps.push([name, dump as Buffer]);
		}
		const epoch = await this.#client.hget(this.keys.meta(0), "epoch");
		const offset = await this.#client.hget(this.keys.meta(0), epoch ?? "");
		const accepted = this.#accepted.map((ids) => ids.length);
		this.#copy = { dumps, accepted, epoch: epoch ?? "", offset: Number(offset ?? 0), at: this.#now };
	}

	/** A replica that was behind takes over, or a file that lost its end is loaded: what came after the copy is gone. */
	async #restore(how: "restore" | "restart" | "rollback"): Promise<void> {
		const copy = this.#copy;
		this.#copy = undefined;
		if (copy === undefined || copy.dumps.length === 0) return;
		const names = await this.#names();
		if (names.length > 0) await this.#client.del(...names);
		for (const [name, dump] of copy.dumps) await this.#client.restore(name, 0, dump);
		if (how !== "rollback") await this.#client.call("DEBUG", "CHANGE-REPL-ID");
		if (how === "restore") await this.#client.hset(this.keys.meta(0), "run", "0123");
		if (how === "restore" || this.#knows) this.#lose();
		for (const [index, ids] of this.#accepted.entries()) {
			const lost = ids.slice(copy.accepted[index]);
			for (const id of lost) this.#gone[index]?.add(id);
			// Nobody is left who knew them: who has a position before them cannot be told.
			if (how === "restart" && !this.#knows) ids.length = copy.accepted[index] as number;
		}
		if (how === "restore" || this.#knows) return;
		for (const handed of this.#handed) {
			if (handed.at <= copy.at) continue;
			const { position } = handed;
			const atCopy = copy.accepted[handed.channel] as number;
			handed.lost = position.epoch !== copy.epoch || position.offset > copy.offset;
			handed.seen = Math.min(handed.seen, atCopy);
		}
	}

	async checkAll(): Promise<void> {
		for (const handed of this.#handed) await this.#check(handed);
	}

	async #check({ channel: index, position, seen, lost, at }: Handed): Promise<void> {
		const channel = this.channels[index] as Channel;
		const due = (this.#accepted[index] as string[]).slice(seen);
		const { verdicts, ids } = await this.#readAll(channel, position);
		const isWhole = verdicts.every((verdict) => verdict === "whole");
		const what = `${channel.id} from ${position.epoch}.${position.offset}: ${verdicts.join()}`;
		expect(new Set(ids).size, what).toBe(ids.length);
		if (lost) expect(isWhole, what).toBe(false);
		if (isWhole) expect(ids, what).toEqual(due);
		const isLost = due.some((id) => this.#gone[index]?.has(id));
		const wasTold = lost || this.#lossAt >= at || (this.#evictedAt[index] as number) >= at;
		if (!isLost && !wasTold) expect(isWhole, what).toBe(true);
		const kept = due.filter((id) => !this.#gone[index]?.has(id));
		expect(ids, what).toEqual(expect.arrayContaining(kept));
		// Whatever is told, what is shown is in the order of acceptance.
		const order = (this.#accepted[index] as string[]).filter((id) => ids.includes(id));
		expect(ids, what).toEqual(order);
	}

	async #readAll(channel: Channel, position: Position): Promise<{ verdicts: Verdict[]; ids: string[] }> {
		const verdicts: Verdict[] = [];
		const ids: string[] = [];
		let from = position;
		for (let pages = 0; ; pages += 1) {
			expect(pages, "pages come to an end").toBeLessThan(200);
			const page = await this.store.read({ channel, from, limit: 1 + this.#random.below(4) });
			verdicts.push(page.verdict);
			for (const { envelope, position: next } of page.entries) {
				ids.push(envelope?.id as string);
				from = next;
			}
			if (!page.more) return { verdicts, ids };
			expect(page.entries.length, "a page that says there is more holds something").toBeGreaterThan(0);
		}
	}
}
