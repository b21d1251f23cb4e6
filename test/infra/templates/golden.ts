/**
 * One golden per environment: what a change of the code changes in the templates is seen in review.
 * Rewrite it with `npx vitest run test/infra/templates -u` when the change is meant.
 */
import { expect, test } from "vitest";
import { type Fields, type Json, synthesise } from "../synth.ts";

/** Asset hashes follow the bundles, and dashboards are one long line; neither says anything about the stacks. */
function mask(value: Json, key = ""): Json {
	if (key === "DashboardBody") return "<dashboard>";
	if (typeof value === "string") return value.replaceAll(/[0-9a-f]{64}/g, "<hash>");
	if (Array.isArray(value)) return value.map((item: Json) => mask(item));
	if (typeof value !== "object" || value === null) return value;
	return Object.fromEntries(
		Object.entries(value as Fields)
			.filter(
				([name]) => name !== "CDKMetadata" && name !== "Metadata" && name !== "BootstrapVersion" && name !== "Rules",
			)
			.map(([name, item]) => [name, mask(item, name)]),
	);
}

test.each(["dev", "prod"])("the templates of %s are the golden ones", async (name) => {
	const { stacks, template } = synthesise(name);
	const all = Object.fromEntries(stacks.map((stack) => [stack.stackName, mask(template(stack).toJSON() as Fields)]));
	await expect(`${JSON.stringify(all, undefined, "\t")}\n`).toMatchFileSnapshot(`__snapshots__/${name}.json`);
});
