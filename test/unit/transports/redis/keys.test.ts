import { describe, expect, it } from "vitest";
import { createChannel } from "../../../../lambda/layer/src/core/channel.ts";
import { slotOf } from "../../../../lambda/layer/src/transports/redis/cluster.ts";
import { createKeys, hash32 } from "../../../../lambda/layer/src/transports/redis/keys.ts";

const HOSTILE = ["a", "{a}", "}{", "a:b", "*", "\u0000", "日本語", "x".repeat(500)];

describe("keys", () => {
	it("of a partition are all in one slot of a cluster, whatever the channel is called (traps 10, 11) [P5]", () => {
		const keys = createKeys("fanout", 64);
		for (const id of HOSTILE) {
			const channel = createChannel("topic", id, { namespace: "n", tenant: "t" });
			const p = keys.partitionOf(channel);
			const all = [
				keys.meta(p),
				keys.state(p, channel),
				keys.log(p, channel),
				keys.id(p, channel, "00000000-0000-7000-8000-000000000000"),
				keys.live(p),
				keys.beat(p, "instance"),
			];
			expect(new Set(all).size).toBe(all.length);
			expect(new Set(all.map(slotOf)).size).toBe(1);
		}
	});

	it("spread channels over partitions, and partitions over the slots of three nodes", () => {
		const keys = createKeys("fanout", 64);
		const counts = new Array<number>(64).fill(0);
		for (let n = 0; n < 6_400; n += 1) {
			const p = keys.partitionOf(createChannel("session", `session-${n}`));
			counts[p] = (counts[p] as number) + 1;
		}
		expect(Math.min(...counts)).toBeGreaterThan(50);
		expect(Math.max(...counts)).toBeLessThan(150);
		const nodes = [0, 0, 0];
		for (let p = 0; p < 64; p += 1) {
			const node = Math.floor((slotOf(keys.meta(p)) * 3) / 16_384);
			nodes[node] = (nodes[node] as number) + 1;
		}
		expect(Math.min(...nodes)).toBeGreaterThan(10);
	});

	it("never move: these values are where logs of running fleets are", () => {
		expect(hash32("")).toBe(0x811c9dc5);
		expect(hash32("a")).toBe(0xe40c292c);
		expect(createKeys("fanout", 64).partitionOf(createChannel("topic", "news"))).toBe(
			hash32("default/default/topic:news") % 64,
		);
		expect(createKeys("p", 2).meta(1)).toBe("{p:1}:meta");
	});

	it("have the slots that the specification gives", () => {
		// From the specification's reference implementation: CRC16 of "123456789" is 0x31C3.
		expect(slotOf("123456789")).toBe(0x31c3);
		expect(slotOf("{user1000}.following")).toBe(slotOf("{user1000}.followers"));
		expect(slotOf("foo{}{bar}")).toBe(slotOf("foo{}{bar}"));
		expect(slotOf("foo{}{bar}")).not.toBe(slotOf("bar"));
		expect(slotOf("foo{{bar}}zap")).toBe(slotOf("{bar"));
		expect(slotOf("foo{bar}{zap}")).toBe(slotOf("bar"));
	});
});
