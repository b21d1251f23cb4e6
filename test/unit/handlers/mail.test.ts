/** What handlers say of their queues' messages. */
import { expect, it } from "vitest";
import { stuckOf } from "../../../lambda/handlers/mail.ts";

it("counts what was put back for minutes, and neither what was put back lately nor what was handled at last", () => {
	const mail = [1, 7, 8, 50, 50].map((receives, n) => ({
		messageId: `m${n}`,
		body: "",
		group: "g",
		channel: undefined,
		receipt: "r",
		receives,
	}));
	expect(stuckOf(mail, ["m0", "m1", "m2", "m3"])).toBe(2);
});
