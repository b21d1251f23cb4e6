import { expect, test } from "vitest";
import { channelOf, type Target } from "../../../lambda/layer/src/publish/address.ts";

class User {
	readonly tenant = "acme";
	readonly #id: string | undefined;

	constructor(id: string | undefined) {
		this.#id = id;
	}

	get session(): string | undefined {
		return this.#id;
	}
}

test("[P5] a target whose names are getters of its class is whom it names, never everyone of its tenant", () => {
	expect(channelOf(new User("s1") as Target, { namespace: "n" }).key).toBe("n/acme/session:s1");
	expect(() => channelOf(new User(undefined) as Target, { namespace: "n" })).toThrow("id must be a string");
	for (const names of [
		{ all: true, topic: "t" },
		{ everyTenant: undefined, tenant: "acme" },
	]) {
		expect(() => channelOf(Object.create(names), { namespace: "n" })).toThrow("a target names one of");
	}
});
