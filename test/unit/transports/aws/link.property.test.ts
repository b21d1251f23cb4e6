/** Whatever the API does to its connections, once it is well again nothing that it appended stays unknown here. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { createLinkHarness, MINUTE, type Told } from "./link-harness.ts";
import { until } from "./scripted-api.ts";

const SEED = Number(process.env.FANOUT_SEED) || 20_261_124;
const IDS = ["a", "b", "c"];

const step = fc.oneof(
	{ weight: 6, arbitrary: fc.record({ do: fc.constant("publish" as const), id: fc.constantFrom(...IDS) }) },
	{
		weight: 2,
		arbitrary: fc.record({ do: fc.constantFrom("follow" as const, "leave" as const), id: fc.constantFrom(...IDS) }),
	},
	{
		weight: 2,
		arbitrary: fc.record({
			do: fc.constantFrom(
				"cut" as const,
				"freeze" as const,
				"end" as const,
				"garbage" as const,
				"refuse" as const,
				"accept" as const,
				"lose frames" as const,
				"keep frames" as const,
			),
			id: fc.constant(""),
		}),
	},
	{
		weight: 2,
		arbitrary: fc.record({
			do: fc.constant("wait" as const),
			id: fc.constant(""),
			ms: fc.integer({ min: 1, max: MINUTE }),
		}),
	},
);

const offsetOf = (position: string) => Number(position.split(".")[1]);
/** The newest offset that this follower was handed or told of. */
const known = (told: Told & { first?: number }) =>
	Math.max(told.first ?? -1, ...told.entries.map(offsetOf), ...told.suspects.map(offsetOf));

it("never leaves an end untold", { timeout: 120_000 }, async () => {
	await fc.assert(
		fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
			const h = await createLinkHarness({
				readyTimeoutMs: 10 ** 9,
				rotateMs: 45_000,
				pingMs: 10_000,
				requestTimeoutMs: 3_000,
				connectTimeoutMs: 3_000,
				backoff: { baseMs: 200, capMs: 2_000 },
			});
			const followed = new Map<string, Told & { first?: number }>();
			const left: Told[] = [];
			const follow = (id: string) => {
				const told: Told & { first?: number } = h.follow(id);
				const first = ({ offset }: { offset: number }) => {
					told.first = Number(offset);
				};
				told.subscription.ready.then(first, () => undefined);
				return told;
			};
			const alive = () => h.api.connections.filter(({ open }) => open);
			let loses = false;
			try {
				await h.start();
				h.api.answer = (_frame, _connection, usual) => (loses ? undefined : usual());
				for (const act of steps) {
					if (act.do === "publish") h.api.publish(h.key(act.id));
					if (act.do === "follow" && !followed.has(act.id)) followed.set(act.id, follow(act.id));
					if (act.do === "leave") {
						const told = followed.get(act.id);
						told?.subscription.close();
						if (told !== undefined) left.push(told);
						followed.delete(act.id);
					}
					if (act.do === "cut") alive()[0]?.cut();
					if (act.do === "freeze") alive()[0]?.freeze();
					if (act.do === "end") alive()[0]?.send({ t: "end", reason: "gap" });
					if (act.do === "garbage") alive()[0]?.send("{");
					if (act.do === "refuse") h.api.handshake = 503;
					if (act.do === "accept") h.api.handshake = "accept";
					if (act.do === "lose frames") loses = true;
					if (act.do === "keep frames") loses = false;
					if (act.do === "wait" && "ms" in act) await h.clock.advance(act.ms);
				}
				h.api.handshake = "accept";
				loses = false;
				await until("every followed channel stands on one connection, which knows its end", async () => {
					// In small steps: the answers are real I/O, which a leap of time would make miss every deadline.
					await h.clock.advance(100);
					if (h.link.state !== "open" || alive().length === 0) return false;
					for (const [id, told] of followed) {
						if (!alive().some(({ rows }) => rows.has(h.key(id)))) return false;
						if (known(told) !== (h.api.ends.get(h.key(id)) ?? 0)) return false;
					}
					return true;
				});
				for (const told of [...followed.values(), ...left]) expect(told.ends).toEqual([]);
			} finally {
				await h.close();
				expect(h.clock.waiting).toBe(0);
			}
		}),
		{ seed: SEED, numRuns: 100 },
	);
});
