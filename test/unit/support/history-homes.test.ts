import { expect, it } from "vitest";
import { createHistory } from "../../support/history.ts";

it("[P2] messages of several home lanes have an order in each of them, and none across", () => {
	const history = createHistory();
	for (const id of ["s", "t"]) history.opened({ id, namespace: "one", channels: ["c"], place: "fleet" });
	for (const [id, lane] of [
		["m1", "a"],
		["m2", "b"],
		["m3", "a"],
	] as const) {
		history.sent({ namespace: "one", channel: "c", publisher: "p", id });
		history.homed(id, lane);
	}
	for (const id of ["m2", "m1", "m3"]) history.received("s", id);
	for (const id of ["m1", "m3", "m2"]) history.received("t", id);
	expect(history.check()).toEqual([]);
	history.sent({ namespace: "one", channel: "c", publisher: "p", id: "m4" });
	history.sent({ namespace: "one", channel: "c", publisher: "p", id: "m5" });
	for (const id of ["m4", "m5"]) history.homed(id, "b");
	for (const [stream, ...ids] of [
		["s", "m5", "m4"],
		["t", "m4", "m5"],
	] as const) {
		for (const id of ids) history.received(stream, id);
	}
	expect(new Set(history.check().map(({ kind }) => kind))).toEqual(new Set(["order"]));
});
