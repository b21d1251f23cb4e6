import { Redis } from "ioredis";
import { describe, expect, it } from "vitest";
import { systemClock } from "../../../../lambda/layer/src/core/clock.ts";
import { createDialler } from "../../../../lambda/layer/src/transports/redis/client.ts";
import {
	endpointOf,
	parseUrl,
	type RedisOptions,
	resolveSettings,
} from "../../../../lambda/layer/src/transports/redis/options.ts";

const url = "redis://127.0.0.1:6379";
const nodes = [{ host: "10.0.0.1", port: 26_379 }];
const bad: readonly [string, RedisOptions, RegExp][] = [
	["no place", {}, /exactly one of url, sentinel, cluster, client; given: none/],
	["two places", { url, cluster: { nodes } }, /given: url, cluster/],
	["no node", { cluster: { nodes: [] } }, /cluster.nodes must name at least one/],
	["a hash tag in the prefix", { url, prefix: "a{b}" }, /prefix/],
	["an empty prefix", { url, prefix: "" }, /prefix/],
	["no partitions", { url, partitions: 0 }, /partitions must be a positive integer of at most 4096, not 0/],
	["too many partitions", { url, partitions: 5_000 }, /not 5000/],
	["a fraction", { url, retentionMs: 1.5 }, /retentionMs/],
	["no replicas", { url, wait: { replicas: 0 } }, /wait.replicas/],
	[
		"a wait that its own connection is given up for",
		{ url, wait: { replicas: 1, timeoutMs: 4_000 } },
		/wait.timeoutMs/,
	],
];

describe("options", () => {
	it.each(bad)("refuse %s", (_name, options, message) => {
		expect(() => resolveSettings(options)).toThrow(message);
		expect(() => resolveSettings(options)).toThrow(expect.objectContaining({ code: "ConfigInvalid" }));
	});

	it("have the defaults that are exported", () => {
		expect(resolveSettings({ url })).toEqual({
			prefix: "fanout",
			partitions: 64,
			maxEventsPerChannel: 1_000,
			retentionMs: 86_400_000,
			dedupMs: 120_000,
			maxPayloadBytes: 122_880,
			connectTimeoutMs: 5_000,
			wait: undefined,
		});
	});

	it("refuse a client that puts a prefix before keys, but not before channels", () => {
		const client = new Redis({ lazyConnect: true, keyPrefix: "app:" });
		expect(() => resolveSettings({ client })).toThrow(/keyPrefix: name redis.prefix instead/);
	});

	it.each([
		"redis://u:p%ss@a",
		"redis://u:%ff@a",
		"http://a",
		"redis://",
		"redis://a:b@/x",
		"redis://a/name",
		"nonsense",
	])("refuse the address %s", (text) => {
		expect(() => parseUrl(text)).toThrow(/redis.url/);
	});

	it("never show a secret in an address [P10]", () => {
		expect(() => parseUrl("redis://u:s3cret@a/name")).not.toThrow(/s3cret/);
		expect(endpointOf({ url: "rediss://u:s3cret@a:7000/2" })).toBe("rediss://a:7000");
		expect(endpointOf({ sentinel: { name: "m", nodes, password: "s3cret" }, password: "s3cret" })).toBe(
			"sentinel m at 10.0.0.1:26379",
		);
		expect(endpointOf({ cluster: { nodes } })).toBe("cluster 10.0.0.1:26379");
	});
});

/** What the client is made with; nothing is dialled before `connect`. */
function madeWith(options: RedisOptions) {
	const client = createDialler(options, 1_234, { clock: systemClock, random: Math.random }).commands();
	client.disconnect();
	return client.options as Record<string, unknown>;
}

describe("clients", () => {
	it("take address, login, database and TLS from the URL; options win", () => {
		expect(madeWith({ url: "rediss://us%40er:p%3Aw@[::1]:7000/3" })).toMatchObject({
			host: "::1",
			port: 7_000,
			db: 3,
			username: "us@er",
			password: "p:w",
			tls: {},
			connectTimeout: 1_234,
		});
		expect(madeWith({ url: "redis://a:b@h", username: "c", password: "d", tls: { servername: "s" } })).toMatchObject({
			username: "c",
			password: "d",
			tls: { servername: "s" },
			port: 6_379,
			db: 0,
		});
	});

	it("never queue, and never send again by themselves [P2]", () => {
		for (const options of [{ url }, { sentinel: { name: "m", nodes } }]) {
			expect(madeWith(options)).toMatchObject({
				enableOfflineQueue: false,
				autoResendUnfulfilledCommands: false,
				autoResubscribe: false,
				maxRetriesPerRequest: 0,
			});
		}
		expect(madeWith({ cluster: { nodes }, password: "p" })).toMatchObject({
			enableOfflineQueue: false,
			redisOptions: { autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0, password: "p" },
		});
	});

	it("know Sentinels with a login and TLS of their own", () => {
		const sentinel = { name: "m", nodes, username: "s", password: "t", tls: true, db: 2 };
		expect(madeWith({ sentinel, password: "p", tls: { ca: "c" } })).toMatchObject({
			name: "m",
			sentinels: nodes,
			db: 2,
			password: "p",
			tls: { ca: "c" },
			sentinelUsername: "s",
			sentinelPassword: "t",
			sentinelTLS: {},
			enableTLSForSentinelMode: true,
		});
	});
});
