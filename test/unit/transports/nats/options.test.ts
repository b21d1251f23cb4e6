import { expect, test } from "vitest";
import type { FanoutError } from "../../../../lambda/layer/src/core/errors.ts";
import { type NatsOptions, resolveNatsOptions } from "../../../../lambda/layer/src/transports/nats/options.ts";
import { configOf, differences } from "../../../../lambda/layer/src/transports/nats/streams.ts";
import { createSubjects } from "../../../../lambda/layer/src/transports/nats/subjects.ts";

test("defaults are the ones that the documentation names", () => {
	expect(resolveNatsOptions({})).toMatchObject({
		servers: ["nats://127.0.0.1:4222"],
		prefix: "fanout",
		streamName: "fanout",
		clientName: "mcp-fanout {instance_id}",
		partitions: 8,
		replicas: 1,
		storage: "file",
		maxAgeMs: 86_400_000,
		maxMessages: 125_000,
		maxMessagesPerChannel: 10_000,
		dedupMs: 120_000,
		jetstream: true,
	});
});

test("a prefix of several tokens names streams with _ for its dots", () => {
	expect(resolveNatsOptions({ prefix: "mcp.notifications" }).streamName).toBe("mcp_notifications");
	expect(resolveNatsOptions({ prefix: "mcp.notifications", streamName: "MCP" }).streamName).toBe("MCP");
});

test("servers may be one text; the dedup window is never longer than the age, which the server would refuse", () => {
	const { servers, dedupMs } = resolveNatsOptions({ servers: "nats://a:1, nats://b:2", maxAgeMs: 5_000 });
	expect(servers).toEqual(["nats://a:1", "nats://b:2"]);
	expect(dedupMs).toBe(5_000);
});

test.each<[string, NatsOptions]>([
	["nats.servers", { servers: [] }],
	["nats.servers", { servers: " , " }],
	["nats.prefix", { prefix: "a..b" }],
	["nats.prefix", { prefix: "a.>" }],
	["nats.streamName", { streamName: "a.b" }],
	["nats.prefix", { prefix: "*" }],
	["nats.partitions", { partitions: 0 }],
	["nats.partitions", { partitions: 257 }],
	["nats.replicas", { replicas: 6 }],
	["nats.storage", { storage: "disk" as "file" }],
	["nats.maxAgeMs", { maxAgeMs: -1 }],
	["nats.maxMessages", { maxMessages: Number.NaN }],
	// A partition's epoch is a message too: with each that comes it would be pushed out, and all streams told so.
	["nats.maxMessages", { maxMessages: 8 }],
	["nats.maxMessages", { maxMessages: 127, partitions: 8 }],
	["nats.dedupMs", { dedupMs: 0.5 }],
	["nats.token, nats.user", { token: "a", user: "b" }],
	["nats.password", { password: "b" }],
])("[P6] %s is refused by name", (name, options) => {
	const refused = (): FanoutError | undefined => {
		try {
			resolveNatsOptions(options);
		} catch (error) {
			return error as FanoutError;
		}
		return undefined;
	};
	expect(refused()).toMatchObject({ code: "ConfigInvalid" });
	expect(refused()?.message).toContain(name);
});

// Of digits: the client library takes what stands behind the first colon for the port.
test.each(["secret", "12345", "s@1/2#3?4"])("[P10] the login me:%s is taken out of the addresses", (password) => {
	const { servers, login } = resolveNatsOptions({ servers: [`nats://me:${password}@a:1`, "tls://b:2", "c:3"] });
	expect(servers).toEqual(["nats://a:1", "tls://b:2", "c:3"]);
	expect(login).toEqual({ user: "me", password });
	expect(resolveNatsOptions({ servers: "s%40cret@b, s%40cret@c" })).toMatchObject({
		servers: ["b", "c"],
		login: { token: "s@cret" },
	});
});

test.each<[string, NatsOptions]>([
	["is no address", { servers: "nats://me:hun/ter2" }],
	["is no address behind its login", { servers: "nats://me:hunter2@" }],
	["is not percent-encoded", { servers: "nats://me:hunter2%@a:1" }],
	["differs between servers", { servers: ["nats://me:hunter2@a:1", "nats://me:hunter3@b:2"] }],
	["stands behind a scheme that is none of NATS's", { servers: "http://me:hunter2@a:1" }],
	["has another beside it", { servers: "nats://me:hunter2@a:1", token: "hunter3" }],
])("[P10] an address whose login %s is refused, and not shown", (_what, options) => {
	expect(() => resolveNatsOptions(options)).toThrow(
		expect.objectContaining({ code: "ConfigInvalid", message: expect.not.stringMatching(/hun|ter/) }),
	);
});

test("an existing stream with other settings is described line by line; the server's own additions are none", () => {
	const settings = resolveNatsOptions({});
	const subjects = createSubjects(settings.prefix, settings.partitions);
	const wanted = configOf(subjects, settings, 3);
	const metadata = { ...(wanted.metadata as object), "_nats.ver": "2.15.1" };
	expect(differences(wanted, { ...wanted, metadata, compression: "none" })).toEqual([]);
	const other = { ...wanted, num_replicas: 3, storage: "memory", metadata: {}, republish: undefined };
	expect(differences(wanted, other)).toEqual([
		'storage is "memory", not "file"',
		"num_replicas is 3, not 1",
		'republish.src is nothing, not "fanout.>"',
		'republish.dest is nothing, not "fanout-live.>"',
		'metadata.mcp-fanout-partitions is nothing, not "8"',
		'metadata.mcp-fanout-layout is nothing, not "1"',
	]);
});
