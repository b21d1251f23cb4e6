import { expect, test } from "vitest";
import { createFanout } from "../../../lambda/layer/src/fanout.ts";
import { ADDRESSES, ERAS, MATRIX, undeliverable } from "../../../lambda/layer/src/mcp/matrix.ts";

test("[P1] a receipt names the eras that have no way to bring it to whom it is addressed, and is accepted all the same", async () => {
	const fanout = await createFanout({ local: {} });
	const message = { method: "notifications/message", params: { level: "info", data: "x" } };
	const progress = { method: "notifications/progress", params: { progressToken: 1, progress: 1 } };
	const told = [
		fanout.notify.toolsChanged(),
		fanout.to({ principal: "ann" }).notify.resourceUpdated("docs://a"),
		fanout.to({ session: "s" }).notify.toolsChanged(),
		fanout.to({ session: "s" }).send(message),
		fanout.to({ everyTenant: true }).send(message),
		fanout.to({ session: "s" }).send(progress),
		fanout.to({ principal: "ann" }).send(progress),
		fanout.to({ topic: "news" }).notify.toolsChanged(),
		fanout.to({ all: true }).send({ method: "notifications/acme/rates" }),
		fanout.to({ session: "s" }).send({ method: "notifications/initialized" }),
	];
	const receipts = await Promise.all(told);
	expect(receipts.map(({ undeliverable }) => undeliverable)).toEqual([
		[],
		[],
		["2026-07-28"],
		["2026-07-28"],
		["2026-07-28"],
		["2026-07-28"],
		["2025", "2026-07-28"],
		["2025", "2026-07-28"],
		["2026-07-28"],
		["2025", "2026-07-28"],
	]);
	expect(receipts.every(({ accepted }) => accepted.length === 1)).toBe(true);
	// All receipts share it: nobody may change it for the others.
	expect(Object.isFrozen(receipts[0]?.undeliverable)).toBe(true);
	await fanout.close();
});

test("the table answers for each of its methods, and for one that it does not name", () => {
	for (const row of MATRIX) {
		for (const method of row.methods.length > 0 ? row.methods : ["notifications/acme/rates", undefined]) {
			for (const address of ADDRESSES) {
				const expected = ERAS.filter((era) => !row.reaches[era].includes(address));
				expect(undeliverable(address, method)).toEqual(expected);
			}
		}
	}
	// What the session machinery sends to a process, or along one call's stream, is nobody's to judge.
	expect(undeliverable("instance", "notifications/progress")).toEqual([]);
	expect(undeliverable("post", "notifications/progress")).toEqual([]);
});
