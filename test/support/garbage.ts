/** Collections that a test asks for, and what they leave. */
import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const MESSAGES = 6_000;

setFlagsFromString("--expose-gc");
export const collect = runInNewContext("gc") as (how?: { type: "minor" }) => void;

/** Bytes, after a collection. */
export function heapUsed(): number {
	collect();
	return process.memoryUsage().heapUsed;
}

function oldBytes(): number {
	return getHeapSpaceStatistics().find(({ space_name: name }) => name === "old_space")?.space_used_size ?? 0;
}

/** Bytes for each message that became old in minor collections alone, after as many that warmed up. */
export async function keptPerMessage(publish: (n: number) => Promise<unknown>): Promise<number> {
	const publishSome = async () => {
		for (let n = 0; n < MESSAGES; n += 1) {
			await publish(n);
			if (n % 100 === 0) collect({ type: "minor" });
		}
	};
	await publishSome();
	collect();
	const before = oldBytes();
	await publishSome();
	return (oldBytes() - before) / MESSAGES;
}
