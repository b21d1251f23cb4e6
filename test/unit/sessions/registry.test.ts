/** Calls of the registry in a process that has much to do. */
import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { createChannel } from "../../../lambda/layer/src/core/channel.ts";
import { systemClock } from "../../../lambda/layer/src/core/clock.ts";
import { createIds } from "../../../lambda/layer/src/core/ids.ts";
import { createMemoryStore } from "../../../lambda/layer/src/sessions/memory-store.ts";
import { createRegistry } from "../../../lambda/layer/src/sessions/registry.ts";

const TIMEOUT_MS = 40;
const session = createChannel("session", "s");

/** Nothing of this process runs meanwhile. */
const holdStill = (ms: number) => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

test("[P7] a process that was held still for longer than a call's deadline hears the answer all the same", async () => {
	const store = createMemoryStore({ clock: systemClock });
	/** The answer is there soon, and is read in the second turn after that. */
	const read: typeof store.read = async (...args) => {
		await turn();
		await turn();
		return store.read(...args);
	};
	const parts = { namespace: "default", clock: systemClock, ids: createIds(systemClock), timeoutMs: TIMEOUT_MS };
	const registry = createRegistry({ store: { ...store, read }, ...parts });
	await registry.create(session);
	const asked = registry.get(session);
	for (let step = 0; step < 10; step += 1) await undefined;
	holdStill(2 * TIMEOUT_MS);
	expect(await asked).toMatchObject({ session: { id: "s" } });
	await registry.close();
});

test("[P7] a store that says nothing is given up at the deadline", async () => {
	const store = createMemoryStore({ clock: systemClock });
	const read = () => new Promise<never>(() => {});
	const parts = { namespace: "default", clock: systemClock, ids: createIds(systemClock), timeoutMs: TIMEOUT_MS };
	const registry = createRegistry({ store: { ...store, read }, ...parts });
	await expect(registry.get(session)).rejects.toMatchObject({
		code: "DeadlineExceeded",
		data: { timeoutMs: TIMEOUT_MS },
	});
	await registry.close();
});
