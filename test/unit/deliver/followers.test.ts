import fc from "fast-check";
import { expect, test } from "vitest";
import { type Follower, Followers } from "../../../lambda/layer/src/deliver/followers.ts";

test("followers are told as those of a set would be, though some leave or all go while they are told", () => {
	const step = fc.record({ n: fc.nat(3), action: fc.constantFrom("add", "add", "delete", "clear", "each") });
	const scene = fc.record({ steps: fc.array(step, { maxLength: 30 }), during: fc.array(step, { maxLength: 4 }) });
	fc.assert(
		fc.property(scene, ({ steps, during }) => {
			const known = Array.from({ length: 4 }, (): Follower => ({ opened() {}, entry() {}, jump() {}, ended() {} }));
			const followers = new Followers();
			const model = new Set<Follower>();
			for (const { n, action } of steps) {
				const one = known[n] as Follower;
				if (action === "add") {
					followers.add(one);
					model.add(one);
				} else if (action === "delete") {
					followers.delete(one);
					model.delete(one);
				} else if (action === "clear") {
					followers.clear();
					model.clear();
				} else {
					const told: Follower[] = [];
					const expected: Follower[] = [];
					const leave = (from: { delete(one: Follower): unknown; clear(): void }, at: number) => {
						const then = during[at];
						if (then?.action === "delete") from.delete(known[then.n] as Follower);
						if (then?.action === "clear") from.clear();
					};
					followers.each((who) => leave(followers, told.push(who) - 1));
					for (const who of model) leave(model, expected.push(who) - 1);
					expect(told.map((who) => known.indexOf(who))).toEqual(expected.map((who) => known.indexOf(who)));
				}
				expect(followers.list().map((who) => known.indexOf(who))).toEqual([...model].map((who) => known.indexOf(who)));
			}
		}),
		{ seed: 20261125, numRuns: 500 },
	);
});
