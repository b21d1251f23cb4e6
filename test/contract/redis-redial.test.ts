/** The client of a Sentinel group, in the one moment in which its library gives it up for good. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { systemClock } from "../../lambda/layer/src/core/clock.ts";
import { createDialler, type Redis } from "../../lambda/layer/src/transports/redis/client.ts";
import { waitFor } from "../support/proc.ts";
import { MASTER_NAME, type SentinelGroup, startSentinelGroup } from "../support/valkey.ts";

let group: SentinelGroup;
beforeAll(async () => {
	group = await startSentinelGroup();
});
afterAll(() => group?.stop());

test("[P7] a failover told while the primary is asked for ends the client, which dials again until it is closed", async () => {
	const sentinel = { name: MASTER_NAME, nodes: group.sentinels.map(({ host, port }) => ({ host, port })) };
	const dialler = createDialler({ sentinel }, 2_000, { clock: systemClock, random: () => 0.5 });
	const client = dialler.commands() as Redis;
	const detector = client as unknown as { readonly connector: { disconnect(): void } };
	let ends = 0;
	client.on("end", () => {
		ends += 1;
	});
	client.on("error", () => {});
	await client.connect();
	for (let n = 1; n <= 3; n += 1) {
		client.once("connecting", () => detector.connector.disconnect());
		client.disconnect(true);
		await waitFor("it was given up", async () => ends === n, { deadlineMs: 10_000, everyMs: 5 });
		const answers = async () => client.status === "ready" && (await client.ping()) === "PONG";
		await waitFor("it answers again", answers, { deadlineMs: 10_000 });
	}
	client.disconnect();
	await waitFor("it has ended", async () => ends === 4, { deadlineMs: 10_000, everyMs: 5 });
	await new Promise((resolve) => setTimeout(resolve, 200));
	expect([client.status, ends]).toEqual(["end", 4]);
});
