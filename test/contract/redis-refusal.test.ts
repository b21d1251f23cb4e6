/** A server that takes no writes, as without its replicas or with a full disk, and can be read. */
import { afterEach, expect, it } from "vitest";
import { startValkeyServer } from "../support/valkey.ts";
import { accepted, channelOf, channels, cleanUp, instance, kept, until } from "./redis-world.ts";

afterEach(cleanUp);

it("shows what it has to who comes back elsewhere, and goes on when it takes writes again [P3] [P7]", async () => {
	const { url, admin } = kept(await startValkeyServer());
	const [a, b] = [await instance({ url }), await instance({ url })];
	const [channel = channelOf("a")] = channels;
	const stream = await a.open(channel);
	await accepted(a, channel, [1]);
	await until("one is seen", () => stream.shown.length === 1);
	const { cursor } = stream;
	await accepted(a, channel, [2, 3]);
	await admin.config("SET", "min-replicas-to-write", "1");
	const back = await b.open(channel, cursor);
	await until("all is shown", () => back.shown.length === 2);
	await admin.config("SET", "min-replicas-to-write", "0");
	await accepted(a, channel, [4]);
	await until("it goes on", () => back.shown.length === 3);
	expect(back.shown).toEqual([2, 3, 4]);
	expect(back.told).toEqual([]);
});
