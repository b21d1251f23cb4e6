import { describe, expect, it } from "vitest";
import { createHistory, type FindingKind, type HistoryStream, type Sent } from "../../support/history.ts";
import { createRandom, seedFromEnv } from "../../support/random.ts";

const seed = seedFromEnv();

interface World {
	readonly streams: readonly HistoryStream[];
	readonly sent: readonly Sent[];
	/** By stream id, in order of arrival. */
	readonly received: Map<string, string[]>;
}

/** A history as it should be: 6 sessions in two namespaces, two streams each in one place, two publishers. */
function soundWorld(): World {
	const random = createRandom(seed);
	const sessions = ["one", "two"].flatMap((namespace) =>
		[0, 1, 2].map((n) => ({ namespace, channel: `session:${n}` })),
	);
	const streams = sessions.flatMap(({ namespace, channel }) =>
		["sse", "ws"].map((kind) => ({
			id: `${namespace}/${channel}/${kind}`,
			namespace,
			channels: [channel],
			place: "here",
		})),
	);
	const sent = Array.from({ length: 200 }, (_, n) => ({
		id: `m${n}`,
		...random.pick(sessions),
		publisher: random.pick(["p", "q"]),
	}));
	const received = new Map(
		streams.map(({ id, namespace, channels }) => [
			id,
			sent.filter((m) => m.namespace === namespace && channels.includes(m.channel)).map((m) => m.id),
		]),
	);
	return { streams, sent, received };
}

function findings(world: World): string[] {
	const history = createHistory();
	for (const stream of world.streams) history.opened(stream);
	for (const message of world.sent) history.sent(message);
	for (const [stream, ids] of world.received) for (const id of ids) history.received(stream, id);
	return history.check().map(({ kind, stream }) => `${kind} on ${stream}`);
}

/** Plants a bug in one stream's arrivals and tells what the checker finds. */
function plant(change: (ids: string[], world: World) => void): string[] {
	const world = soundWorld();
	change(world.received.get(VICTIM) as string[], world);
	return [...new Set(findings(world))];
}

const VICTIM = "one/session:0/ws";
const only = (kind: FindingKind) => [`${kind} on ${VICTIM}`];
const idOf = ({ sent }: World, namespace: string, channel: string) =>
	sent.find((m) => m.namespace === namespace && m.channel === channel)?.id as string;

describe(`the history checker (seed ${seed})`, () => {
	it("finds nothing in a sound history", () => {
		expect(findings(soundWorld())).toEqual([]);
	});

	it("finds a planted reordering of one publisher's messages", () => {
		const found = plant((ids, { sent }) => {
			const byP = ids.filter((id) => sent.find((m) => m.id === id)?.publisher === "p");
			const [a, b] = [ids.indexOf(byP[0] as string), ids.indexOf(byP[1] as string)];
			[ids[a], ids[b]] = [ids[b] as string, ids[a] as string];
		});
		expect(found).toEqual(only("order"));
	});

	it("finds a planted reordering that only another stream of the lane can show", () => {
		const found = plant((ids, { sent }) => {
			const publisherOf = (id: string | undefined) => sent.find((m) => m.id === id)?.publisher;
			const at = ids.findIndex((id, n) => n > 0 && publisherOf(id) !== publisherOf(ids[n - 1]));
			[ids[at - 1], ids[at]] = [ids[at] as string, ids[at - 1] as string];
		});
		expect(found).toEqual(only("order"));
	});

	it("finds a planted loss, at the end too", () => {
		expect(plant((ids) => ids.splice(3, 1))).toEqual(only("loss"));
		expect(plant((ids) => ids.pop())).toEqual(only("loss"));
	});

	it("finds a planted duplicate, at once or after a resume", () => {
		expect(plant((ids) => ids.splice(4, 0, ids[3] as string))).toEqual(only("duplicate"));
		expect(plant((ids) => ids.push(ids[0] as string))).toEqual(only("duplicate"));
	});

	it("finds a planted leak across sessions", () => {
		expect(plant((ids, world) => ids.push(idOf(world, "one", "session:1")))).toEqual(only("leak"));
	});

	it("finds a planted leak across namespaces, of a channel of the same name", () => {
		expect(plant((ids, world) => ids.push(idOf(world, "two", "session:0")))).toEqual(only("leak"));
	});

	it("finds what nobody sent, and what was told", () => {
		expect(plant((ids) => ids.push("never-sent"))).toEqual(only("invented"));
		const history = createHistory();
		history.opened({ id: "s", namespace: "n", channels: ["c"], place: "here" });
		history.told("s", "gap");
		expect(history.check()).toEqual([{ kind: "told", stream: "s", detail: "gap" }]);
	});

	it("asks for no message that was refused, or sent before the stream stood", () => {
		const history = createHistory();
		history.sent({ id: "early", namespace: "n", channel: "c", publisher: "p" });
		history.opened({ id: "s", namespace: "n", channels: ["c"], place: "here" });
		history.sent({ id: "refused", namespace: "n", channel: "c", publisher: "p" });
		expect(history.missing()).toBe(1);
		history.refused("refused");
		expect(history.missing()).toBe(0);
		expect(history.check()).toEqual([]);
		history.received("s", "early");
		expect(history.check()).toEqual([]);
	});
});
