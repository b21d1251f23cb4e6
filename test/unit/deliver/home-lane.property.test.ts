import fc from "fast-check";
import { expect, test } from "vitest";
import type { Envelope } from "../../../lambda/layer/src/core/envelope.ts";
import type { Engine } from "../../../lambda/layer/src/deliver/engine.ts";
import { announcedSeed, createRandom } from "../../support/random.ts";
import { Client, World } from "./world.ts";

const seed = announcedSeed("home-lane.property");

interface Way {
	readonly lanes: string[];
	readonly laterBy: number;
	readonly early: "none" | "local" | "other lane";
	readonly wait: number;
}

/** How one envelope comes to the lanes: at once; the first lane later (offered again); with early copies meanwhile. */
const way: fc.Arbitrary<Way> = fc.record({
	lanes: fc.constantFrom(["a"], ["b"], ["a", "b"], ["b", "a"]),
	/** The first lane refuses at first and takes it only after so many further publishes. */
	laterBy: fc.constantFrom(0, 0, 1, 3),
	early: fc.constantFrom("none" as const, "local" as const, "other lane" as const),
	wait: fc.constantFrom(0, 0, 30, 700),
});

test("[P4] an envelope on several lanes, refused and offered again, with early copies: shown once to each stream", async () => {
	await fc.assert(
		fc.asyncProperty(fc.array(way, { maxLength: 25, size: "max" }), fc.nat(), async (ways, run) => {
			const world = new World(createRandom(run), { instances: 1, transports: ["a", "b"] });
			const [a, b] = world.brokers as [(typeof world.brokers)[number], (typeof world.brokers)[number]];
			Object.assign(a.faults, { lose: 0.2, repeat: 0.2, delay: 0.2 });
			Object.assign(b.faults, { lose: 0.2, repeat: 0.2, delay: 0.2 });
			const channel = world.channel("c");
			const [both, onlyA, onlyB] = [new Client(), new Client(), new Client()];
			const [engineA, engineB] = world.engines[0] as [Engine, Engine];
			both.connect([engineA, engineB], world.clock, [channel]);
			onlyA.connect([engineA], world.clock, [channel]);
			onlyB.connect([engineB], world.clock, [channel]);
			await world.clock.settle();
			// A lane that refused is offered its envelopes in their order, before anything newer (the outbox's duty).
			const outbox: { readonly envelope: Envelope; readonly due: number }[] = [];
			const offer = (now: number) => {
				for (let head = outbox[0]; head !== undefined && head.due <= now; head = outbox[0]) {
					a.append(head.envelope);
					outbox.shift();
				}
			};
			for (const [index, { lanes, laterBy, early, wait }] of ways.entries()) {
				const envelope = world.envelope(channel, lanes);
				offer(index);
				if (lanes.includes("b")) b.append(envelope);
				if (lanes.includes("a")) {
					if (laterBy > 0 || outbox.length > 0) {
						outbox.push({ envelope, due: Math.max(index + laterBy, outbox.at(-1)?.due ?? 0) });
						if (early === "local") for (const client of [both, onlyA]) client.feed.early(envelope);
						if (early === "other lane" && !lanes.includes("b")) b.append(envelope);
					} else a.append(envelope);
				}
				if (wait > 0) await world.clock.advance(wait);
			}
			offer(Number.POSITIVE_INFINITY);
			await world.calm();
			const count = ways.length;
			const all = (lane: string) => ways.flatMap(({ lanes }, index) => (lanes.includes(lane) ? [index + 1] : []));
			const sorted = (numbers: number[]) => [...numbers].sort((x, y) => x - y);
			expect(sorted(both.numbers(channel))).toEqual(Array.from({ length: count }, (_value, index) => index + 1));
			expect(sorted(onlyA.numbers(channel))).toEqual(all("a"));
			// Those of lane b alone, and early copies that came over b.
			const viaB = ways.flatMap(({ lanes }, index) =>
				lanes.includes("b") || b.log(channel)?.ids.has(world.idOf(channel, index + 1)) ? [index + 1] : [],
			);
			expect(sorted(onlyB.numbers(channel))).toEqual(viaB);
			// What was not early is in the order of its lane.
			for (const client of [both, onlyA, onlyB]) {
				const home = (lane: string) =>
					client.seen.flatMap((fact) =>
						"n" in fact && !fact.early && ways[fact.n - 1]?.lanes[0] === lane ? [fact.n] : [],
					);
				expect(home("a")).toEqual(sorted(home("a")));
				expect(client.marks).toEqual([]);
			}
			world.close();
		}),
		{ seed, numRuns: Number(process.env.FANOUT_RUNS ?? 200) },
	);
}, 120_000);
