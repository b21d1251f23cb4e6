/** A client whose address leads to another region, where no place of the first one's logs means anything. */
import { afterEach, beforeEach, expect, it } from "vitest";
import { createScene, type Scene } from "./scene.ts";
import { until } from "./scripted-cell.ts";

let cell: Scene["cell"];
let clock: Scene["clock"];
let client: Scene["client"];
let end: Scene["end"];
beforeEach(async () => {
	({ cell, clock, client, end } = await createScene());
	cell.region = "us-east-1";
});
afterEach(() => end());

/** The other region's log of the channel: another epoch, and what was published before. */
function leadElsewhere(): void {
	cell.region = "eu-west-1";
	cell.reset("a", "0000eeee");
	for (const method of ["old 1", "old 2"]) cell.append("a", method);
}
const reads = () => cell.connections.flatMap(({ frames }) => frames).filter(({ action }) => action === "read");

it("is told a gap, and goes on there from now: it is not sent all that the log there keeps [P3] [P4]", async () => {
	const c = client();
	await c.opened();
	cell.append("a", "one");
	await until("one", () => c.got.length === 1);
	cell.last.cut();
	await until("the cut", () => !cell.last.open);
	leadElsewhere();
	await c.opened(2);
	cell.append("a", "two");
	await until("two", () => c.got.length === 2);
	expect([c.methods(), c.missing(), c.got[1]?.missing]).toEqual([["one", "two"], ["gap"], "gap"]);
	expect(reads()).toEqual([]);
});

it("says where it stood, so that its session comes along", async () => {
	const c = client();
	await c.opened();
	for (const times of [2, 3]) {
		cell.last.cut();
		await until("the cut", () => !cell.last.open);
		if (times === 3) leadElsewhere();
		await c.opened(times);
	}
	cell.last.cut();
	await c.opened(4);
	const asked = cell.connections.map(({ frames }) => frames.find(({ action }) => action === "subscribe")?.again);
	expect(asked).toEqual([undefined, "us-east-1", "us-east-1", "eu-west-1"]);
	expect(c.missing()).toEqual(["gap"]);
});

it("knows it by its cursor too, and goes on where it was in the same region", async () => {
	const first = client();
	await first.opened();
	cell.append("a", "one");
	await until("one", () => first.got.length === 1);
	const { cursor } = first.connection;
	first.connection.close();
	cell.append("a", "two");
	const second = client({ cursor });
	await until("two", async () => {
		await clock.advance(50);
		return second.got.length === 1;
	});
	expect([second.methods(), second.missing()]).toEqual([["two"], []]);
	second.connection.close();
	leadElsewhere();
	const third = client({ cursor: second.connection.cursor });
	await third.opened();
	expect([third.got, third.missing()]).toEqual([[], ["gap"]]);
	// The consumer was told: what comes next is after the gap.
	cell.append("a", "three");
	await until("three", () => third.got.length === 1);
	expect(third.connection.cursor).toBe(JSON.stringify({ a: "0000eeee.3@eu-west-1" }));
});
