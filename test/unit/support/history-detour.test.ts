import { describe, expect, it } from "vitest";
import { createHistory } from "../../support/history.ts";

const NEWS = { namespace: "one", channel: "topic:news", publisher: "p" };

function oneStream(...ids: readonly string[]) {
	const history = createHistory();
	history.opened({ id: "s", namespace: "one", channels: [NEWS.channel], place: "here" });
	for (const id of ids) history.sent({ ...NEWS, id });
	return { history, kinds: () => history.check().map(({ kind }) => kind) };
}

describe("a detour", () => {
	it("lets what went the new way pass what went the old one, of this stream and until it is over", () => {
		const { history, kinds } = oneStream("m1", "m2");
		const over = history.detour("s");
		for (const id of ["m3", "m4"]) history.sent({ ...NEWS, id });
		over();
		for (const id of ["m5", "m6"]) history.sent({ ...NEWS, id });
		for (const id of ["m3", "m1", "m2", "m5", "m4", "m6"]) history.received("s", id);
		expect(kinds()).toEqual([]);
	});
	it("excuses neither what was passed before it nor what was sent after it", () => {
		const { history, kinds } = oneStream("m1", "m2");
		history.received("s", "m2");
		history.detour("s")();
		for (const id of ["m3", "m4"]) history.sent({ ...NEWS, id });
		for (const id of ["m1", "m4", "m3"]) history.received("s", id);
		expect(kinds()).toEqual(["order", "order"]);
	});
	it("may be told to one stream, which misses nothing", () => {
		const { history, kinds } = oneStream("m1", "m2");
		history.opened({ id: "t", namespace: "one", channels: [], place: "here" });
		history.mayTell("s");
		for (const id of ["s", "t"]) history.told(id, "gap");
		history.received("s", "m2");
		expect(kinds()).toEqual(["loss", "told"]);
	});
});
