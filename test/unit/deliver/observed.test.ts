/** What a feed says of what it gave to its sink. */
import { expect, test } from "vitest";
import { openFeed } from "../../../lambda/layer/src/deliver/feed.ts";
import { createRandom } from "../../support/random.ts";
import { World } from "./world.ts";

test("an envelope counts as shown unless its sink drops it, and as a loss where the sink tells of one instead", async () => {
	const world = new World(createRandom(1), { instances: 1, transports: ["a"] });
	const channel = world.channel("c");
	const told: string[] = [];
	const answers = [undefined, false, "gap", undefined, false];
	const observer = {
		shown: (_envelope: unknown, isReplay: boolean) => void told.push(`shown ${isReplay}`),
		lost: (reason: string) => void told.push(reason),
		ended() {},
	};
	const sink = { deliver: () => answers.shift(), mark() {}, cursor() {}, end() {} };
	const deps = { engines: world.engines[0] ?? [], clock: world.clock, report() {}, observer };
	const feed = openFeed(deps, { channels: [channel] }, sink);
	await world.clock.settle();
	for (let n = 0; n < 3; n += 1) world.brokers[0]?.append(world.envelope(channel, ["a"]));
	await world.calm();
	for (let n = 0; n < 2; n += 1) feed.early(world.envelope(channel, ["a"]));
	expect(told).toEqual(["shown false", "gap", "shown false"]);
	feed.close();
	world.close();
});
