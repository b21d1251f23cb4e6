import { expect, test } from "vitest";
import { createOwners } from "../../chaos/owners.ts";

test("[P8] a write under an older claim than one that was answered before it began is found, and no other", () => {
	const owners = createOwners();
	owners.begin("s", "a")(1);
	const slow = owners.begin("s", "a");
	owners.begin("s", "b")(2);
	// It began before b's claim was answered: it may have been accepted before it.
	slow(1);
	expect(owners.check()).toEqual([]);
	owners.begin("other", "a")(1);
	owners.begin("s", "a")(1);
	expect(owners.check()).toEqual(["s: a wrote under claim 1 after b had 2"]);
	expect([owners.writes, owners.takeovers]).toEqual([5, 1]);
});

test("[P8] one claim of two owners is found", () => {
	const owners = createOwners();
	owners.begin("s", "a")(1);
	owners.begin("s", "b")(1);
	owners.found("a stream went on");
	expect(owners.check()).toEqual(["a stream went on", "s: claim 1 is of a and b"]);
});
