import { beforeEach, expect, test } from "vitest";
import { type Channel, createChannel } from "../../../lambda/layer/src/core/channel.ts";
import type { FanoutError } from "../../../lambda/layer/src/core/errors.ts";
import { createGate } from "../../../lambda/layer/src/sessions/gate.ts";
import { createMemoryStore } from "../../../lambda/layer/src/sessions/memory-store.ts";
import { pollVersions } from "../../../lambda/layer/src/sessions/poll.ts";
import type { Store, StoreWatcher } from "../../../lambda/layer/src/sessions/store.ts";
import { MAX_CHANGES_WAITING, watchRecords } from "../../../lambda/layer/src/sessions/watch.ts";
import { createFakeClock, type FakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";

const scope = { namespace: "default", tenant: "default" };
const { signal } = new AbortController();
let clock: FakeClock;
let watcher: StoreWatcher | undefined;
let reads: string[];
let answer: Promise<void>;
let errors: FanoutError[];

beforeEach(() => {
	clock = createFakeClock();
	watcher = undefined;
	reads = [];
	errors = [];
	answer = Promise.resolve();
});

function storeThatReads(): Store {
	return {
		...createMemoryStore({ clock }),
		async read(place) {
			reads.push(place.id);
			await answer;
			return undefined;
		},
		async watch(_scope, given) {
			watcher = given;
			return { close: async () => {} };
		},
	};
}

const session = (id: number): Channel => createChannel("session", `s${id}`);

async function watching() {
	const told: string[] = [];
	let suspected = 0;
	const deps = {
		store: storeThatReads(),
		clock,
		timeoutMs: 1_000,
		report: (error: FanoutError) => void errors.push(error),
	};
	const listener = {
		change: ({ session: { id } }: { session: Channel }) => void told.push(id),
		suspect: () => {
			suspected += 1;
		},
	};
	const watch = await watchRecords(deps, scope, listener, signal);
	return { told, watch, suspected: () => suspected };
}

test("[P3] [P6] changes of one session that wait are one, but one that comes while it is read is read again", async () => {
	let open: () => void = () => {};
	answer = new Promise((resolve) => {
		open = resolve;
	});
	const { told, watch } = await watching();
	watcher?.changed(session(1));
	for (let count = 0; count < 5; count += 1) watcher?.changed(session(1));
	await clock.settle();
	expect(reads).toEqual(["s1"]);
	open();
	await clock.settle();
	expect(reads).toEqual(["s1", "s1"]);
	expect(told).toEqual(["s1", "s1"]);
	await watch.close();
	expect(clock.waiting).toBe(0);
});

test("[P9] a watch that stands after whoever asked for it gave up is closed: nobody else could", async () => {
	const standing = Promise.withResolvers<void>();
	const asked = new AbortController();
	let closed = 0;
	const close = async () => {
		closed += 1;
	};
	const late: Store = {
		...storeThatReads(),
		async watch(_scope, given) {
			await standing.promise;
			watcher = given;
			return { close };
		},
	};
	const deps = { store: late, clock, timeoutMs: 1_000, report: () => {} };
	const watch = watchRecords(deps, scope, { change: () => {}, suspect: () => {} }, asked.signal);
	const refused = expect(watch).rejects.toThrow("took too long");
	asked.abort(new Error("took too long"));
	standing.resolve();
	await refused;
	watcher?.changed(session(1));
	expect([closed, reads]).toEqual([1, []]);
});

test("[P3] [P6] more changes than may wait make the listener list again", async () => {
	answer = new Promise(() => {});
	const { watch, suspected } = await watching();
	for (let id = 0; id <= MAX_CHANGES_WAITING + 8; id += 1) watcher?.changed(session(id));
	expect(suspected()).toBe(1);
	await watch.close();
	await clock.settle();
	expect(clock.waiting).toBe(0);
});

test("[P3] a change that cannot be read makes the listener list again, and is reported", async () => {
	answer = new Promise(() => {});
	const { watch, suspected, told } = await watching();
	watcher?.changed(session(1));
	await clock.advance(1_001);
	expect([suspected(), told.length, errors.map(({ code }) => code)]).toEqual([1, 0, ["DeadlineExceeded"]]);
	await watch.close();
});

test("a poll tells what differs, survives a look that failed, and ends [P9]", async () => {
	const changed: string[] = [];
	const failures: unknown[] = [];
	let versions: Map<string, string> | Error = new Map([["a", "1"]]);
	const stop = pollVersions(clock, 100, new Map([["a", "1"]]), {
		look: async () => {
			if (versions instanceof Error) throw versions;
			return new Map(versions);
		},
		changed: (id) => void changed.push(id),
		failed: (error) => void failures.push(error),
	});
	await clock.advance(100);
	expect(changed).toEqual([]);
	versions = new Error("away");
	await clock.advance(100);
	versions = new Map([["b", "1"]]);
	await clock.advance(100);
	expect(changed).toEqual(["b", "a"]);
	expect(failures).toHaveLength(1);
	stop();
	expect(clock.waiting).toBe(0);
});

test("[P6] a gate lets so many in, in order, also when works fail", async () => {
	const gate = createGate(2);
	const entered: number[] = [];
	const leave: ((error?: Error) => void)[] = [];
	const works = [0, 1, 2, 3].map((number) =>
		gate
			.run(
				() =>
					new Promise<void>((resolve, reject) => {
						entered.push(number);
						leave[number] = (error) => (error === undefined ? resolve() : reject(error));
					}),
			)
			.catch(() => {}),
	);
	await clock.settle();
	expect(entered).toEqual([0, 1]);
	leave[1]?.(new Error("failed"));
	await clock.settle();
	expect(entered).toEqual([0, 1, 2]);
	leave[0]?.();
	leave[2]?.();
	await clock.settle();
	expect(entered).toEqual([0, 1, 2, 3]);
	leave[3]?.();
	await Promise.all(works);
	const after = gate.run(async () => "free");
	expect(await after).toBe("free");
});
