import fc from "fast-check";
import { expect, test } from "vitest";
import type { Channel } from "../../../lambda/layer/src/core/channel.ts";
import { announcedSeed, createRandom } from "../../support/random.ts";
import { Client, World } from "./world.ts";

const seed = announcedSeed("two-transports.property");
const NAMES = ["a", "b"] as const;
type Broker = World["brokers"][number];

const chance = fc.constantFrom(0, 0, 0.2, 0.6);
const on = { channel: fc.nat(1), broker: fc.nat(1) };
const publish = fc.record({
	do: fc.constant("publish" as const),
	channel: fc.nat(1),
	count: fc.integer({ min: 1, max: 12 }),
	lanes: fc.constantFrom<string[]>(["a"], ["b"], ["a", "b"], ["b", "a"]),
});
const who = { who: fc.nat(2), instance: fc.nat(1) };
const step = fc.oneof(
	publish,
	publish,
	fc.record({ do: fc.constant("wait" as const), ms: fc.constantFrom(0, 5, 100, 1_500, 12_000) }),
	fc.record({ do: fc.constantFrom("kill" as const, "beat" as const), ...who }),
	fc.record({ do: fc.constant("resume" as const), ...who }),
	fc.record({ do: fc.constant("resume" as const), ...who }),
	fc.record({ do: fc.constant("stall" as const), ...who }),
	fc.record({ do: fc.constantFrom("delayed" as const, "nudge" as const, "end" as const), ...on }),
	fc.record({
		do: fc.constant("faults" as const),
		broker: fc.nat(1),
		lose: chance,
		repeat: chance,
		delay: chance,
		stale: chance,
		fails: chance,
	}),
);

test("[P2] [P3] [P4] two transports, lanes that end, readers that stall, clients that come back: in each lane's order, once, all", async () => {
	await fc.assert(
		fc.asyncProperty(fc.array(step, { maxLength: 40, size: "max" }), fc.nat(), async (steps, run) => {
			const world = new World(createRandom(run), { instances: 2, transports: NAMES });
			const channels = [world.channel("c"), world.channel("d")];
			const homes = new Map<string, string>();
			const clients = [new Client(), new Client(), new Client()];
			const free = new Map<Client, () => void>();
			const connect = (client: Client, instance: number) => {
				client.kill();
				client.ends.length = 0;
				client.connect(world.engines[instance] ?? [], world.clock, channels);
			};
			const unstall = (client: Client) => {
				client.room = undefined;
				free.get(client)?.();
			};
			for (const [index, client] of clients.entries()) connect(client, index % 2);
			await world.clock.settle();
			for (const step of steps) {
				const channel = channels["channel" in step ? step.channel : 0] as Channel;
				const broker = world.brokers["broker" in step ? step.broker : 0] as Broker;
				const client = clients["who" in step ? step.who : 0] as Client;
				if (step.do === "publish") {
					for (let n = 0; n < step.count; n += 1) {
						const envelope = world.envelope(channel, step.lanes);
						homes.set(`${channel.key} ${world.published(channel)}`, step.lanes[0] as string);
						for (const [index, to] of world.brokers.entries()) {
							if (step.lanes.includes(NAMES[index] as string)) to.append(envelope);
						}
					}
				} else if (step.do === "wait") await world.clock.advance(step.ms);
				else if (step.do === "delayed") broker.deliverDelayed();
				else if (step.do === "nudge") broker.nudge(channel);
				else if (step.do === "end") broker.end(channel, "moved");
				else if (step.do === "faults") {
					const { lose, repeat, delay, stale, fails } = step;
					Object.assign(broker.faults, { lose, repeat, delay, stale, readFails: fails, endsFails: fails });
				} else if (step.do === "beat") client.beat();
				else if (step.do === "kill") client.kill();
				else if (step.do === "stall") {
					unstall(client);
					const { promise, resolve } = Promise.withResolvers<void>();
					client.room = () => promise;
					free.set(client, resolve);
				} else if (step.do === "resume" && (!client.connected || client.ends.length > 0))
					connect(client, step.instance);
			}
			await world.calm();
			for (const client of clients) unstall(client);
			for (const client of clients) if (!client.connected || client.ends.length > 0) connect(client, 0);
			await world.calm();
			for (const client of clients) {
				expect(client.ends).toEqual([]);
				// A lane that did not open in time is told, even where nothing is missing.
				for (const mark of client.marks) expect(mark).toBe("gap");
				for (const channel of channels) {
					const numbers = client.numbers(channel);
					const all = Array.from({ length: world.published(channel) }, (_value, index) => index + 1);
					expect([...numbers].sort((x, y) => x - y)).toEqual(all);
					for (const name of NAMES) {
						const lane = numbers.filter((n) => homes.get(`${channel.key} ${n}`) === name);
						expect(lane).toEqual([...lane].sort((x, y) => x - y));
					}
				}
			}
			for (const client of clients) client.kill();
			world.close();
			await world.clock.settle();
			expect(world.clock.waiting).toBe(0);
			expect(world.brokers.map((broker) => broker.subscriptions)).toEqual([0, 0]);
		}),
		{ seed, numRuns: Number(process.env.FANOUT_RUNS ?? 200) },
	);
}, 120_000);
