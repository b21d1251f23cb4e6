import fc from "fast-check";
import { expect, test } from "vitest";
import { createLog, type Log } from "../../../../lambda/layer/src/transports/local/log.ts";
import { Lru } from "../../../../lambda/layer/src/transports/local/lru.ts";
import { topic } from "./support.ts";

const COUNT = 6;

function walk(lru: Lru): Log[] {
	const found: Log[] = [];
	for (let log = lru.oldest; log !== undefined; log = log.newer) {
		expect(log.older).toBe(found.at(-1));
		found.push(log);
		expect(found.length).toBeLessThanOrEqual(COUNT);
	}
	return found;
}

test("[P6] two lists that logs go between are what arrays would be, over any history", () => {
	const step = fc.record({ log: fc.nat(COUNT - 1), action: fc.constantFrom("touch", "idle", "followed", "out") });
	fc.assert(
		fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
			const logs = Array.from({ length: COUNT }, (_, n) => createLog(topic(`t${n}`), 0, 0));
			const lists = { idle: new Lru(), followed: new Lru() };
			const model: { idle: Log[]; followed: Log[] } = { idle: [], followed: [] };
			for (const { log: index, action } of steps) {
				const log = logs[index] as Log;
				const home = (["idle", "followed"] as const).find((name) => model[name].includes(log));
				if (home !== undefined) model[home].splice(model[home].indexOf(log), 1);
				if (action === "touch") {
					if (home !== undefined) lists[home].touch(log);
					if (home !== undefined) model[home].push(log);
				} else {
					if (home !== undefined) lists[home].remove(log);
					if (action !== "out") lists[action].add(log);
					if (action !== "out") model[action].push(log);
				}
				for (const name of ["idle", "followed"] as const) {
					const found = walk(lists[name]);
					expect(found.map((one) => one.channel.id)).toEqual(model[name].map((one) => one.channel.id));
				}
			}
		}),
		{ seed: 20261125, numRuns: 300 },
	);
});

test("[P6] a log that is out holds no other: who holds it would hold all that went after it", () => {
	const [a, b, c] = ["a", "b", "c"].map((name) => createLog(topic(name), 0, 0)) as [Log, Log, Log];
	const lru = new Lru();
	for (const log of [a, b, c]) lru.add(log);
	lru.remove(b);
	expect(b.older ?? b.newer).toBe(undefined);
	expect(walk(lru).map(({ channel }) => channel.id)).toEqual(["a", "c"]);
});
