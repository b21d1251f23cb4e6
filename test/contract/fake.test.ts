import { FakeBroker } from "../../lambda/layer/src/testing/fake-broker.ts";
import { createFakeTransport } from "../../lambda/layer/src/testing/fake-transport.ts";
import { createRandom } from "../../lambda/layer/src/testing/seeded.ts";
import { runContract } from "./map.ts";

for (const eager of [false, true]) {
	runContract(`fake, logs begin with their first ${eager ? "question" : "event"}`, () => {
		const random = createRandom(1);
		const broker = new FakeBroker(() => random() / 2 ** 32, { eager });
		let count = 0;
		return {
			createTransport: async () => createFakeTransport(broker),
			namespace: () => `contract-${++count}`,
			limits: { waitMs: 5_000 },
			forget: async (channel) => broker.truncate(channel, 1),
			reset: async (channel) => broker.reset(channel),
		};
	});
}
