import { expect, test } from "vitest";
import { createFanout, type FanoutOptions } from "../../../lambda/layer/src/index.ts";

test("a misspelt option of a transport is refused before anything is dialled, and named with those that there are", async () => {
	const misspelt: readonly [string, object][] = [
		["server is no option of nats; there are servers,", { nats: { server: "nats://nats-1:4222" } }],
		["URL is no option of redis; there are username,", { redis: { URL: "redis://redis-1" } }],
		["maxEventPerChannel is no option of local; there are maxEventsPerChannel,", { local: { maxEventPerChannel: 5 } }],
		["regions is no option of aws; there are environment,", { aws: { regions: ["us-east-1"] } }],
	];
	for (const [message, options] of misspelt)
		await expect(createFanout(options as FanoutOptions)).rejects.toThrow(message);
});

test("what every transport takes is no misspelling: enabled and priority", async () => {
	const fanout = await createFanout({ local: { enabled: true, priority: 3 }, nats: { enabled: false, servers: "x" } });
	await fanout.close();
});

test("an older Node is told which one is needed, and not what it lacks", async () => {
	const { withResolvers } = Promise;
	Reflect.deleteProperty(Promise, "withResolvers");
	const attempt = createFanout();
	Promise.withResolvers = withResolvers;
	await expect(attempt).rejects.toMatchObject({ code: "Unsupported", message: expect.stringMatching(/Node 22\.13/) });
});

test("a fanout of which every transport is off says so", async () => {
	await expect(createFanout({ local: { enabled: false } })).rejects.toThrow("no transport is enabled");
});
