/** The client of a Sentinel group, in the one moment in which its library gives it up for good. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { createChannel } from "../../lambda/layer/src/core/channel.ts";
import { systemClock } from "../../lambda/layer/src/core/clock.ts";
import { createRedisStore } from "../../lambda/layer/src/sessions/redis-store.ts";
import { createDialler, type Redis } from "../../lambda/layer/src/transports/redis/client.ts";
import { waitFor } from "../support/proc.ts";
import { MASTER_NAME, type SentinelGroup, startSentinelGroup } from "../support/valkey.ts";

let group: SentinelGroup;
beforeAll(async () => {
	group = await startSentinelGroup();
});
afterAll(() => group?.stop());

interface Given {
	readonly connector: { disconnect(): void };
}

/** What the library's failover detector does in the middle of a connect. */
function giveUp(client: Redis): void {
	client.once("connecting", () => (client as unknown as Given).connector.disconnect());
	client.disconnect(true);
}

function dialler() {
	const sentinel = { name: MASTER_NAME, nodes: group.sentinels.map(({ host, port }) => ({ host, port })) };
	return createDialler({ sentinel }, 2_000, { clock: systemClock, random: () => 0.5 });
}

test("[P7] a failover told while the primary is asked for ends the client, which dials again until it is closed", async () => {
	const client = dialler().commands() as Redis;
	let ends = 0;
	client.on("end", () => {
		ends += 1;
	});
	client.on("error", () => {});
	await client.connect();
	for (let n = 1; n <= 3; n += 1) {
		giveUp(client);
		await waitFor("it was given up", async () => ends === n, { deadlineMs: 10_000, everyMs: 5 });
		const answers = async () => client.status === "ready" && (await client.ping()) === "PONG";
		await waitFor("it answers again", answers, { deadlineMs: 10_000 });
	}
	client.disconnect();
	await waitFor("it has ended", async () => ends === 4, { deadlineMs: 10_000, everyMs: 5 });
	await new Promise((resolve) => setTimeout(resolve, 200));
	expect([client.status, ends]).toEqual(["end", 4]);
});

test("[P3] [P7] whoever watches sessions through such a client hears of changes again", async () => {
	const client = dialler().commands() as Redis;
	client.on("error", () => {});
	await client.connect();
	const made: Redis[] = [];
	const duplicate = client.duplicate.bind(client);
	client.duplicate = (...args) => {
		const own = duplicate(...args);
		made.push(own);
		return own;
	};
	const store = createRedisStore({ dial: async () => client });
	const signal = AbortSignal.timeout(60_000);
	await store.start(signal);
	const session = createChannel("session", "one");
	const changed: string[] = [];
	let suspicions = 0;
	const suspect = () => {
		suspicions += 1;
	};
	await store.watch(session, { changed: ({ id }) => void changed.push(id), suspect }, signal);
	const [subscriber] = made as [Redis];
	await waitFor("it is subscribed", async () => subscriber.status === "ready", { deadlineMs: 10_000, everyMs: 5 });
	giveUp(subscriber);
	await waitFor("it was given up", async () => subscriber.status === "end", { deadlineMs: 10_000, everyMs: 1 });
	await waitFor("its watchers are told to look again", async () => suspicions > 0, { deadlineMs: 20_000 });
	await store.write(session, { version: "1", text: "{}" }, undefined, signal);
	await waitFor("a change is told", async () => changed.includes("one"), { deadlineMs: 10_000 });
	await store.close();
});
