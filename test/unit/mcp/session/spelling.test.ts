import { expect, test } from "vitest";
import { spellFor } from "../../../../lambda/layer/src/mcp/session/spelling.ts";

test("[P3] a loss moves the cursor with the last of what is told of it: a stream that breaks in between tells it again", () => {
	const capabilities = { tools: { listChanged: true }, resources: { listChanged: true, subscribe: true } };
	const text = spellFor(() => ({ capabilities, uris: ["a://1", "a://ü"] })).mark("gap", "1new");
	const frames = text.split("\n\n").filter((frame) => frame !== "");
	expect(frames).toHaveLength(4);
	expect(frames.map((frame) => frame.includes("id: 1new"))).toEqual([false, false, false, true]);
	expect(frames.map((frame) => JSON.parse(frame.split("data: ")[1] as string).params?.uri)).toEqual([
		undefined,
		undefined,
		"a://1",
		"a://ü",
	]);
});
