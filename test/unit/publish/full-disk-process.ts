/**
 * A process for outbox-disk.test.ts, on which the system sets a limit to a file's size: what the outbox's file says of
 * itself when a row does not fit, and once that row is gone, as JSON.
 */
import { openOutboxFile } from "../../../lambda/layer/src/publish/outbox-file.ts";

let now = 0;
const told: string[] = [];
const file = process.argv[2] as string;
const store = openOutboxFile({ file, monotonic: () => now, report: ({ message }) => told.push(message) });
/** Queues a row, and lets the turn be written. */
async function put(at: number, text = "{}"): Promise<number | undefined> {
	const row = store.put("a", at, text);
	await undefined;
	return row;
}

await put(1);
const states = [store.state];
const large = await put(2, "x".repeat(4 * 1024 * 1024));
states.push(store.state);
for (const at of [3, 4, 5]) await put(at);
// There is room again, and nobody has looked yet: that is not done in every turn.
store.remove(large as number);
await put(6);
states.push(store.state);
now += 1_000;
await put(7);
states.push(store.state);
const kept = store.load("a").map(({ at }) => at);
store.close();
console.log(JSON.stringify({ states, told, kept }));
