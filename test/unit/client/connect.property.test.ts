/** Whatever becomes of posts and connections, a consumer sees a channel's log in order, once, and without a hole. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { type ClientEvent, type Connection, connect, type Delivery } from "../../../lambda/layer/src/client/index.ts";
import { createFakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";
import { createRandom } from "../../../lambda/layer/src/testing/seeded.ts";
import { createScriptedCell, until } from "./scripted-cell.ts";

const SEED = Number(process.env.FANOUT_SEED) || 20_261_125;
const CHANNELS = ["a", "b"];

const script = fc.record({
	seed: fc.integer({ min: 0, max: 2 ** 31 }),
	steps: fc.array(
		fc.oneof(
			{
				weight: 8,
				arbitrary: fc.record({ do: fc.constant("append" as const), channel: fc.constantFrom(...CHANNELS) }),
			},
			{
				weight: 2,
				arbitrary: fc.record({
					do: fc.constantFrom("cut" as const, "restart" as const, "wait" as const, "gap" as const),
					channel: fc.constantFrom(...CHANNELS),
				}),
			},
		),
		{ minLength: 10, maxLength: 80 },
	),
});

it("is in order, once, and gapless or told", { timeout: 120_000 }, async () => {
	await fc.assert(
		fc.asyncProperty(script, async ({ seed, steps }) => {
			const cell = await createScriptedCell();
			const clock = createFakeClock();
			const random = createRandom(seed);
			const late: (() => void)[] = [];
			cell.pageEntries = 3;
			// Of ten posts, three are lost, two come twice, two come later and out of order.
			cell.posts = (send) => {
				const fate = random() % 10;
				if (fate < 3) return;
				if (fate < 5) send();
				if (fate < 7) late.push(send);
				else send();
				if (late.length > 3) for (const other of late.splice(0).reverse()) other();
			};
			const got: Delivery[] = [];
			const told: ClientEvent[] = [];
			const gaps = new Map<string, number>();
			let connection: Connection | undefined;
			const open = (cursor: string | undefined) => {
				connection = connect(cell.url, {
					ticket: "t",
					channels: CHANNELS,
					cursor,
					clock,
					checkMs: 2_000,
					random: () => 0.1,
					onMessage: (delivery) => got.push(delivery),
					onEvent: (event) => told.push(event),
				});
			};
			const methodsOf = (channel: string) =>
				(cell.logs.get(channel)?.entries ?? []).flatMap(({ message }) => message?.method ?? []);
			const gotOf = (channel: string) =>
				got.filter((one) => one.channel === channel).map(({ message }) => message.method);
			try {
				open(JSON.stringify(Object.fromEntries(CHANNELS.map((channel) => [channel, "00000000.0"]))));
				for (const [index, step] of steps.entries()) {
					if (step.do === "append") cell.append(step.channel, `m${index}`);
					else if (step.do === "gap") {
						cell.append(step.channel, null);
						gaps.set(step.channel, (gaps.get(step.channel) ?? 0) + 1);
					} else if (step.do === "cut") cell.connections.at(-1)?.cut();
					else if (step.do === "restart") {
						const { cursor } = connection as Connection;
						connection?.close();
						open(cursor);
					} else await clock.advance(200);
					if (random() % 3 === 0) await clock.settle();
				}
				cell.posts = (send) => send();
				// The last post of a channel may be among the lost ones: the next check of the ends shows it.
				await until("all of both logs", async () => {
					await clock.advance(50);
					const positions = JSON.parse((connection as Connection).cursor);
					return CHANNELS.every((channel) => positions[channel] === cell.endOf(channel));
				});
				for (const channel of CHANNELS) {
					expect(gotOf(channel)).toEqual(methodsOf(channel));
					const tellings = told.filter((event) => event.type === "missing" && event.channel === channel);
					expect(tellings).toHaveLength(gaps.get(channel) ?? 0);
				}
			} finally {
				connection?.close();
				expect(clock.waiting).toBe(0);
				await cell.close();
			}
		}),
		{ seed: SEED, numRuns: 100 },
	);
});
