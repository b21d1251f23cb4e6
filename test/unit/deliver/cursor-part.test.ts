import { expect, test } from "vitest";
import { decodeCursor, laneKey, NO_LANES } from "../../../lambda/layer/src/core/cursor.ts";
import { BEGINNING } from "../../../lambda/layer/src/core/position.ts";
import { CursorPart } from "../../../lambda/layer/src/deliver/cursor-part.ts";
import { createFakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";

test("[P3] a lane that stays empty says so of the time of each cursor: one of long ago would be told retention", async () => {
	const clock = createFakeClock();
	const part = new CursorPart("0123456789ab", { place: 7, clock });
	const emptyAt = () => decodeCursor(NO_LANES + part.at(BEGINNING)).get(laneKey("0123456789ab", 7))?.offset;
	const first = emptyAt();
	await clock.advance(90_000);
	expect(emptyAt()).toBe((first as number) + 90);
});
