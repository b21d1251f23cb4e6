/** What a region that is added or taken out changes in the stacks of the others. */
import { expect, test } from "vitest";
import { ENVIRONMENTS } from "../../../lib/config/environments.ts";
import { ACCOUNT, type Fields, type Synthesised, synthesise, synthesiseConfig } from "../synth.ts";

const environment = (regions: readonly string[]) =>
	synthesiseConfig({ ...ENVIRONMENTS.dev, account: ACCOUNT, regions });
const exportsOf = ({ stacks, template }: Synthesised) =>
	Object.fromEntries(
		stacks.map((stack) => {
			const outputs = (template(stack).toJSON().Outputs ?? {}) as { readonly [id: string]: Fields };
			return [stack.stackName, Object.keys(outputs).sort()];
		}),
	);

test("no stack exports more for each region: CloudFormation would refuse to take out what another still imports", () => {
	const two = exportsOf(environment(["us-east-1", "eu-west-1"]));
	const three = exportsOf(environment(["us-east-1", "eu-west-1", "ap-south-1"]));
	expect(Object.keys(two)).toHaveLength(8);
	for (const [stack, names] of Object.entries(two)) expect([stack, three[stack]]).toEqual([stack, names]);
});

test("a replica that was made anew is looked up again, and nothing else of any stack changes", () => {
	const [first, again] = [
		synthesise("dev"),
		synthesiseConfig({ ...ENVIRONMENTS.dev, account: ACCOUNT }, { lookUp: "2" }),
	];
	for (const [index, stack] of first.stacks.entries()) {
		const before = first.template(stack).toJSON().Resources as { readonly [id: string]: Fields };
		const after = again.template(again.stacks[index] as typeof stack).toJSON().Resources as typeof before;
		const changed = Object.keys(after).filter((id) => JSON.stringify(after[id]) !== JSON.stringify(before[id]));
		const isReplica = stack.stackName === "dev-fanout-eu-west-1-delivery";
		expect(changed.map((id) => after[id]?.Type)).toEqual(isReplica ? ["Custom::ReplicaStream"] : []);
		expect(Object.keys(before)).toEqual(Object.keys(after));
	}
});
