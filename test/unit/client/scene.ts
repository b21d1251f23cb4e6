/** A scripted cell, a fake clock, and consumers on them. `end` closes all, and finds timers that were left behind. */
import { expect } from "vitest";
import { type ClientEvent, type Connection, connect, type Delivery } from "../../../lambda/layer/src/client/index.ts";
import type { ConnectOptions } from "../../../lambda/layer/src/client/options.ts";
import { createFakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";
import { createScriptedCell, until } from "./scripted-cell.ts";

export type Scene = Awaited<ReturnType<typeof createScene>>;

export async function createScene() {
	const cell = await createScriptedCell();
	const clock = createFakeClock();
	const open: Connection[] = [];
	function client(options: Partial<ConnectOptions> = {}) {
		const got: Delivery[] = [];
		const events: ClientEvent[] = [];
		const connection = connect(cell.url, {
			ticket: "t",
			channels: ["a"],
			clock,
			random: () => 0.5,
			onMessage: (delivery) => got.push(delivery),
			onEvent: (event) => events.push(event),
			...options,
		});
		open.push(connection);
		return {
			connection,
			got,
			events,
			methods: () => got.map(({ message }) => message.method),
			missing: () => events.flatMap((event) => (event.type === "missing" ? [event.reason] : [])),
			opened: (times = 1) =>
				until(`open ${times}`, async () => {
					await clock.advance(50);
					return events.filter(({ type }) => type === "open").length >= times;
				}),
		};
	}
	const end = async () => {
		for (const connection of open) connection.close();
		expect(clock.waiting).toBe(0);
		await cell.close();
	};
	return { cell, clock, client, end };
}
