/** A user with the rights that docs/redis.md lists, to the letter, and no others: on one server and on a cluster. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { inspect } from "node:util";
import type { RedisOptions } from "mcp-fanout/transports/redis";
import { afterAll, afterEach, beforeAll, describe, expect, it, test } from "vitest";
import { createChannel } from "../../lambda/layer/src/core/channel.ts";
import { systemClock } from "../../lambda/layer/src/core/clock.ts";
import { createFanout } from "../../lambda/layer/src/fanout.ts";
import { createRedisStore } from "../../lambda/layer/src/sessions/redis-store.ts";
import { registryCases } from "../../lambda/layer/src/testing/registry/index.ts";
import { dialRedis } from "../../lambda/layer/src/transports/redis/index.ts";
import { doctor } from "../support/doctor.ts";
import { waitFor } from "../support/proc.ts";
import { ROOT } from "../support/root.ts";
import { startValkeyCluster, startValkeyServer } from "../support/valkey.ts";
import {
	accepted,
	channelOf,
	channels,
	cleanUp,
	envelopeOf,
	instance,
	kept,
	startInstance,
	until,
	upTo,
} from "./redis-world.ts";

const [, listed = ""] = readFileSync(join(ROOT, "docs/redis.md"), "utf8").match(/^```\n(~[\s\S]*?)^```$/m) ?? [];
const [everywhere = [], alone = [], sessions = [], cluster = [], clusterSessions = []] = listed
	.split("\n")
	.map((line) => line.split(" "));
const login = { username: "fanout", password: "s3cret" };
// Before Redis 7 a user begins with all channels, and takes no pattern beside them.
const BASE = ["reset", "resetchannels", "on", ">s3cret", "-@all"];

type Admin = { acl(...args: [string, ...string[]]): Promise<unknown> };
const admit = (admins: readonly Admin[], ...rights: readonly (readonly string[])[]) =>
	Promise.all(admins.map((admin) => admin.acl("SETUSER", "fanout", ...BASE, ...rights.flat())));

afterEach(cleanUp);

describe("the transport needs no more", () => {
	const works = async (options: RedisOptions) => {
		const a = await instance({ ...options, ...login });
		const streams = await Promise.all(channels.map((each) => a.open(each)));
		await Promise.all(channels.map((each) => accepted(a, each, upTo(3))));
		await until("all is seen", () => streams.every(({ shown }) => shown.length === 3));
		const beats = async () => a.errors.length === 0 && a.events.every(({ kind }) => kind !== "error");
		await waitFor("beats are heard", beats, { deadlineMs: 1_000 });
	};

	it("on one server, where a wrong password is refused at once [P10]", async () => {
		const server = kept(await startValkeyServer());
		await admit([server.admin], everywhere, alone);
		await server.admin.acl("SETUSER", "default", "off");
		const wrong = startInstance({ url: `redis://fanout:wr0ng@127.0.0.1:${server.port}` });
		await expect(wrong).rejects.toMatchObject({ code: "TransportRefused", retryable: false });
		// All that a logger would print, causes too.
		expect(inspect(await wrong.catch((error: Error) => error), { depth: null })).not.toContain("wr0ng");
		await works({ url: `redis://127.0.0.1:${server.port}` });
	});

	it("and neither does fanout doctor, on one server and on a cluster", async () => {
		const server = kept(await startValkeyServer());
		const { primaries } = kept(await startValkeyCluster());
		await admit([server.admin], everywhere, alone, sessions);
		await admit(
			primaries.map(({ admin }) => admin),
			...[everywhere, cluster, clusterSessions],
		);
		const nodes = JSON.stringify(primaries.map(({ host, port }) => `${host}:${port}`));
		for (const where of [`url = "${server.url}"`, `cluster_nodes = ${nodes}`]) {
			const file = `[notification.redis]\n${where}\nusername = "fanout"\n`;
			const { code, failed } = await doctor(file, { FANOUT_REDIS_PASSWORD: "s3cret" }, "--round-trip");
			expect([code, failed], where).toEqual([0, []]);
		}
	});

	it("and what an operator or a program does wrong is told without a login, a key or what was published [P10]", async () => {
		const server = kept(await startValkeyServer());
		await admit([server.admin], everywhere, alone);
		const url = `redis://fanout:s3cret@127.0.0.1:${server.port}`;
		const a = await instance({ url });
		const store = createRedisStore({ url });
		await store.start(AbortSignal.timeout(10_000));
		kept({ close: async () => store.close() });
		await server.admin.acl("SETUSER", "fanout", "-evalsha", "-eval");
		const text = "what was published";
		const message = { jsonrpc: "2.0", method: "notifications/message", params: { text } } as const;
		const [channel = channelOf("a")] = channels;
		const [outcome] = await a.transport.publish(
			channel,
			[{ ...envelopeOf(channel, 1), message }],
			{ mayExist: false },
			AbortSignal.timeout(10_000),
		);
		const place = createChannel("session", "s-1");
		const unwritten = store.write(place, { version: "1", text }, undefined, AbortSignal.timeout(10_000));
		for (const failed of [outcome, await unwritten.catch((error: Error) => error)]) {
			expect(inspect(failed, { depth: null })).toMatch(/NOPERM/);
			expect(inspect(failed, { depth: null })).not.toContain(text);
		}
	});

	it("and what is stored although it may not be published is not said to be refused [P1]", async () => {
		const server = kept(await startValkeyServer());
		await admit([server.admin], everywhere, alone);
		const a = await instance({ url: `redis://fanout:s3cret@127.0.0.1:${server.port}` });
		const [channel = channelOf("a")] = channels;
		const stream = await a.open(channel);
		await server.admin.acl("SETUSER", "fanout", "-publish");
		expect(await a.publish(channel, 1)).toMatchObject({ ok: false, uncertain: true });
		await until("it is shown", () => stream.shown.length === 1);
	});

	it("on a cluster [P10]", async () => {
		const { primaries } = kept(await startValkeyCluster());
		await admit(
			primaries.map(({ admin }) => admin),
			everywhere,
			cluster,
		);
		await works({ cluster: { nodes: primaries.map(({ host, port }) => ({ host, port })) }, partitions: 16 });
	});
});

const PLACES = {
	"one server": async () => {
		const server = await startValkeyServer();
		await admit([server.admin], everywhere, alone, sessions);
		return { options: { url: server.url }, stop: () => server.stop() };
	},
	"a cluster": async () => {
		const started = await startValkeyCluster();
		const { primaries } = started;
		await admit(
			primaries.map(({ admin }) => admin),
			everywhere,
			cluster,
			clusterSessions,
		);
		const nodes = primaries.map(({ host, port }) => ({ host, port }));
		return { options: { cluster: { nodes } }, stop: () => started.stop() };
	},
} as const;

describe.each(Object.keys(PLACES) as (keyof typeof PLACES)[])("sessions need no more on %s", (name) => {
	let place: { readonly options: RedisOptions; stop(): Promise<unknown> };
	let count = 0;
	const errors: unknown[] = [];

	beforeAll(async () => {
		place = await PLACES[name]();
	});
	afterAll(() => place?.stop());

	/** As `createFanout` opens it. */
	const createStore = async () =>
		createRedisStore({
			prefix: "fanout:sessions:",
			onerror: (error) => errors.push(error),
			dial: (signal) =>
				dialRedis(
					{ ...place.options, ...login },
					{ clock: systemClock, random: Math.random },
					(error) => errors.push(error),
					signal,
				),
		});
	const harness = { createStore, namespace: () => `rights-${++count}`, limits: { waitMs: 15_000 } };
	for (const { title, run } of registryCases) test(title, () => run(harness));

	it("as a fanout opens, owns and gives over one beside its logs [P8] [P10]", async () => {
		const options = { redis: { ...place.options, ...login }, onerror: (error: unknown) => void errors.push(error) };
		const a = kept(await createFanout(options));
		const b = kept(await createFanout(options));
		const session = createChannel("session", "s-1");
		await a.sessions.claim(session);
		const elsewhere = await b.sessions.registry();
		expect((await elsewhere.get(session))?.owner?.instance).toBe(a.instanceId);
		await a.drain({ graceMs: 200 });
		expect((await elsewhere.get(session))?.owner).toBeUndefined();
		expect(errors).toEqual([]);
	});
});
