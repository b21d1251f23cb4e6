import { describe, expect, it } from "vitest";
import { createHistory, type FindingKind, type HistoryStream, type Sent } from "../../support/history.ts";
import { createRandom, seedFromEnv } from "../../support/random.ts";

const seed = seedFromEnv();
const NEWS = { namespace: "one", channel: "topic:news", publisher: "p" };

/** One stream, opened, and its messages sent in order. */
function oneStream(...ids: readonly string[]) {
	const history = createHistory();
	history.opened({ id: "s", namespace: "one", channels: [NEWS.channel], place: "here" });
	for (const id of ids) history.sent({ ...NEWS, id });
	return { history, kinds: () => history.check().map(({ kind }) => kind) };
}

describe("early copies", () => {
	it("are in nobody's order, and arrive once", () => {
		const { history, kinds } = oneStream("m1", "m2", "m3");
		history.received("s", "m3", true);
		history.received("s", "m1");
		history.received("s", "m2");
		expect(kinds()).toEqual([]);
		history.received("s", "m3");
		expect(kinds()).toEqual(["duplicate"]);
	});
	it("may come twice to a client that came back between the two copies, and to no other", () => {
		for (const isResumed of [true, false]) {
			const { history, kinds } = oneStream("m1");
			history.received("s", "m1", true);
			if (isResumed) history.resumed("s");
			history.received("s", "m1");
			expect(kinds()).toEqual(isResumed ? [] : ["duplicate"]);
		}
		const { history, kinds } = oneStream("m1");
		history.received("s", "m1");
		history.resumed("s");
		history.received("s", "m1");
		expect(kinds()).toEqual(["duplicate"]);
	});
});

describe("a publish that failed as uncertain", () => {
	it("may arrive late, and one that was accepted may not", () => {
		for (const isRefused of [true, false]) {
			const { history, kinds } = oneStream("m1", "m2");
			if (isRefused) history.refused("m1");
			history.received("s", "m2");
			history.received("s", "m1");
			expect(kinds()).toEqual(isRefused ? [] : ["order"]);
		}
	});
});

describe("servers that replace one another", () => {
	it("may take what was sent until it is over from streams that are told, and from no other", () => {
		for (const isTold of [true, false]) {
			const { history, kinds } = oneStream("m1");
			const over = history.mayLose();
			history.sent({ ...NEWS, id: "m2" });
			if (isTold) history.told("s", "epoch");
			over();
			expect(kinds()).toEqual(isTold ? [] : ["loss", "loss"]);
			history.sent({ ...NEWS, id: "m3" });
			expect(kinds()).toEqual(isTold ? ["loss"] : ["loss", "loss", "loss"]);
		}
	});
	it("a lane that cannot be reached excuses being told, and no loss", () => {
		const { history, kinds } = oneStream("m1");
		history.mayTell();
		history.told("s", "gap");
		expect(kinds()).toEqual(["loss"]);
		history.received("s", "m1");
		expect(kinds()).toEqual([]);
		history.received("s", "m1");
		expect(kinds()).toEqual(["duplicate"]);
	});
});

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

	/** Three messages, the logs lost between the second and the third; `arrive` says what the stream is shown. */
	function lossy(arrive: (history: ReturnType<typeof createHistory>) => void): string[] {
		const history = createHistory();
		history.opened({ id: "s", namespace: "n", channels: ["c"], place: "here" });
		const send = (id: string) => history.sent({ id, namespace: "n", channel: "c", publisher: "p" });
		send("a");
		send("b");
		arrive({
			...history,
			lost() {
				history.lost();
				send("z");
			},
		});
		return history.check().map(({ kind, message }) => (message === undefined ? kind : `${kind} of ${message}`));
	}

	it("excuses who was told of a loss for what lay there, and for nothing else", () => {
		const told = lossy(({ lost, told, received }) => {
			received("s", "a");
			lost();
			told("s", "epoch");
			received("s", "z");
		});
		expect(told).toEqual([]);
		const after = lossy(({ lost, told, received }) => {
			received("s", "a");
			lost();
			told("s", "epoch");
		});
		expect(after).toEqual(["loss of z"]);
		const passed = lossy(({ lost, told, received }) => {
			received("s", "b");
			lost();
			told("s", "epoch");
			received("s", "z");
		});
		expect(passed).toEqual(["loss of a"]);
	});

	it("finds a planted silence: a log was lost and its stream was not told", () => {
		const silent = lossy(({ lost, received }) => {
			for (const id of ["a", "b"]) received("s", id);
			lost();
			received("s", "z");
		});
		expect(silent).toEqual(["silent"]);
		const early = lossy(({ lost, told, received }) => {
			for (const id of ["a", "b"]) received("s", id);
			told("s", "epoch");
			lost();
			received("s", "z");
		});
		expect(early).toEqual(["told", "silent"]);
	});

	it("takes a repetition after a told loss for what it is, and every other one for a duplicate", () => {
		const repeated = (when: "before" | "untold" | "told") =>
			lossy(({ lost, told, received }) => {
				for (const id of ["a", "b"]) received("s", id);
				if (when === "before") received("s", "b");
				lost();
				if (when === "untold") received("s", "b");
				told("s", "epoch");
				if (when === "told") received("s", "b");
				received("s", "z");
			});
		expect(repeated("told")).toEqual([]);
		expect(repeated("before")).toEqual(["duplicate of b"]);
		expect(repeated("untold")).toEqual(["duplicate of b"]);
	});

	it("wants streams of a channel told of what they cannot read there, and excuses no loss for it", () => {
		const history = createHistory();
		for (const id of ["c", "d"]) history.opened({ id, namespace: "n", channels: [id], place: "here" });
		history.sent({ id: "m", namespace: "n", channel: "c", publisher: "p" });
		history.unreadable("n", "c");
		expect(history.untold()).toBe(1);
		expect(history.check().map(({ kind, stream }) => `${kind} on ${stream}`)).toEqual(["silent on c", "loss on c"]);
		history.told("c", "gap");
		history.told("d", "gap");
		expect(history.untold()).toBe(0);
		expect(history.check().map(({ kind, stream }) => `${kind} on ${stream}`)).toEqual(["loss on c", "told on d"]);
		const refused = history.unreadable("n", "d");
		refused();
		expect(history.untold()).toBe(0);
	});

	it("finds what arrives though its publisher was told that it never will", () => {
		for (const how of ["certain", "uncertain"] as const) {
			const history = createHistory();
			history.opened({ id: "s", namespace: "n", channels: ["c"], place: "here" });
			history.sent({ id: "m", namespace: "n", channel: "c", publisher: "p" });
			history.refused("m", how);
			history.received("s", "m");
			expect(history.check().map(({ kind }) => kind)).toEqual(how === "certain" ? ["denied"] : []);
		}
	});
});
