/** What a process costs its server that follows very many channels, in which nothing happens. */
import { afterEach, expect, it, vi } from "vitest";
import { startValkeyServer } from "../support/valkey.ts";
import { channelOf, cleanUp, instance, kept, PARTITIONS, until, upTo } from "./redis-world.ts";

afterEach(cleanUp);

it("a look at each partition in each check of their ends, however many they are", async () => {
	const { url, admin } = kept(await startValkeyServer());
	const a = await instance({ url });
	await Promise.all(upTo(1_200).map((n) => a.open(channelOf(`followed-${n}`))));
	const checks = vi.spyOn(a.transport, "ends");
	await until("all were looked up once", () => checks.mock.settledResults.some(({ type }) => type === "fulfilled"));
	await admin.call("CONFIG", "RESETSTAT");
	const before = checks.mock.settledResults.length;
	await until("they were checked again", () => checks.mock.settledResults.length >= before + 8);
	const calls = /cmdstat_hmget:calls=(\d+)/.exec(await admin.info("commandstats"))?.[1];
	const lanes = checks.mock.calls.reduce((sum, [channels]) => sum + channels.length, 0);
	// One check may be under way at either end.
	expect(Number(calls)).toBeLessThanOrEqual((lanes / 1_200 + 1) * PARTITIONS);
});
