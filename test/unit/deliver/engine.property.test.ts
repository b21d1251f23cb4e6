import fc from "fast-check";
import { expect, test } from "vitest";
import type { Channel } from "../../../lambda/layer/src/core/channel.ts";
import { announcedSeed, createRandom } from "../../support/random.ts";
import { Client, World } from "./world.ts";

const seed = announcedSeed("engine.property");

type Step =
	| { readonly do: "publish"; readonly channel: number; readonly count: number }
	| { readonly do: "wait"; readonly ms: number }
	| { readonly do: "kill" | "resume" | "beat"; readonly who: number; readonly instance: number }
	| { readonly do: "delayed" | "nudge" | "truncate" | "reset"; readonly channel: number }
	| {
			readonly do: "faults";
			readonly lose: number;
			readonly repeat: number;
			readonly delay: number;
			readonly stale: number;
			readonly fails: number;
	  };

const chance = fc.constantFrom(0, 0, 0.2, 0.6);
const common: fc.Arbitrary<Step>[] = [
	fc.record({ do: fc.constant("publish" as const), channel: fc.nat(1), count: fc.integer({ min: 1, max: 12 }) }),
	fc.record({ do: fc.constant("publish" as const), channel: fc.nat(1), count: fc.integer({ min: 1, max: 12 }) }),
	fc.record({ do: fc.constant("wait" as const), ms: fc.constantFrom(0, 5, 100, 1_500) }),
	fc.record({
		do: fc.constantFrom("kill" as const, "resume" as const, "beat" as const),
		who: fc.nat(2),
		instance: fc.nat(1),
	}),
	fc.record({ do: fc.constantFrom("delayed" as const, "nudge" as const), channel: fc.nat(1) }),
	fc.record({
		do: fc.constant("faults" as const),
		lose: chance,
		repeat: chance,
		delay: chance,
		stale: chance,
		fails: chance,
	}),
];
const losses = fc.record({ do: fc.constantFrom("truncate" as const, "reset" as const), channel: fc.nat(1) });
const historyOf = (steps: readonly fc.Arbitrary<Step>[]) =>
	fc.array(fc.oneof(...steps), { maxLength: 40, size: "max" });

async function play(
	steps: readonly Step[],
	run: number,
	eager = false,
): Promise<{ world: World; clients: Client[]; channels: Channel[] }> {
	const world = new World(createRandom(run), { instances: 2, transports: ["fake"], eager });
	const channels = [world.channel("a"), world.channel("b")];
	const clients = [new Client(), new Client(), new Client()];
	const broker = world.brokers[0] as (typeof world.brokers)[number];
	const connect = (client: Client, instance: number) =>
		client.connect(world.engines[instance] ?? [], world.clock, channels);
	for (const [index, client] of clients.entries()) connect(client, index % 2);
	await world.clock.settle();
	for (const step of steps) {
		const channel = "channel" in step ? (channels[step.channel] as Channel) : (channels[0] as Channel);
		if (step.do === "publish") for (let n = 0; n < step.count; n += 1) broker.append(world.envelope(channel, ["fake"]));
		else if (step.do === "wait") await world.clock.advance(step.ms);
		else if (step.do === "delayed") broker.deliverDelayed();
		else if (step.do === "nudge") broker.nudge(channel);
		else if (step.do === "truncate") broker.truncate(channel, 4);
		else if (step.do === "reset") broker.reset(channel);
		else if (step.do === "faults") {
			const { lose, repeat, delay, stale, fails } = step;
			Object.assign(broker.faults, { lose, repeat, delay, stale, readFails: fails, endsFails: fails });
		} else if ("who" in step) {
			const client = clients[step.who] as Client;
			if (step.do === "beat") client.beat();
			else if (step.do === "kill") client.kill();
			else if (!client.connected) connect(client, step.instance);
		}
	}
	await world.calm();
	for (const client of clients) if (!client.connected) connect(client, 0);
	await world.calm();
	return { world, clients, channels };
}

function isIncreasing(numbers: readonly number[]): boolean {
	return numbers.every((n, index) => index === 0 || n > (numbers[index - 1] as number));
}

test("[P2] [P3] [P4] whatever a transport loses, repeats, delays or answers stale: in order, once, all, and no false alarm", async () => {
	await fc.assert(
		fc.asyncProperty(historyOf(common), fc.nat(), async (steps, run) => {
			const { world, clients, channels } = await play(steps, run);
			for (const client of clients) {
				for (const channel of channels) {
					const numbers = client.numbers(channel);
					const all = Array.from({ length: world.published(channel) }, (_value, index) => index + 1);
					// A client hears what was published from its opening on: with no loss the whole channel, here.
					expect(numbers).toEqual(all);
				}
				expect(client.marks).toEqual([]);
				expect(client.ends).toEqual([]);
			}
			world.close();
			expect(world.clock.waiting).toBe(0);
			expect(world.brokers[0]?.subscriptions).toBe(0);
		}),
		{ seed, numRuns: Number(process.env.FANOUT_RUNS ?? 300) },
	);
}, 120_000);

test("[P3] a log that truncates or resets is told: a missing entry always has a mark before the next one", async () => {
	await fc.assert(
		fc.asyncProperty(historyOf([...common, losses]), fc.nat(), async (steps, run) => {
			const { world, clients, channels } = await play(steps, run, true);
			for (const client of clients) {
				for (const channel of channels) {
					expect(isIncreasing(client.numbers(channel))).toBe(true);
					let last = 0;
					let told = false;
					for (const fact of client.seen) {
						if ("mark" in fact) told = true;
						else if (fact.channel === channel.key) {
							if (fact.n !== last + 1) expect(told, `${last} then ${fact.n}`).toBe(true);
							last = fact.n;
							told = false;
						}
					}
					if (last !== world.published(channel)) expect(told, `ended at ${last}`).toBe(true);
				}
			}
			world.close();
		}),
		{ seed, numRuns: Number(process.env.FANOUT_RUNS ?? 300) },
	);
}, 120_000);
