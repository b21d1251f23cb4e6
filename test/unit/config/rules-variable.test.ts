import { expect, test } from "vitest";
import { parseConfig } from "../../../lambda/layer/src/config/file/parse.ts";
import type { Problem } from "../../../lambda/layer/src/config/file/problems.ts";
import { isFanoutError } from "../../../lambda/layer/src/core/errors.ts";

function problemOf(rules: string): Problem | undefined {
	try {
		parseConfig({ file: "fanout.toml", text: "[notification.nats]\n" }, { FANOUT_ROUTING_RULES: rules });
	} catch (error) {
		if (isFanoutError(error, "ConfigInvalid")) return (error.data.problems as Problem[])[0];
		throw error;
	}
	return undefined;
}

test("what is wrong with the rules of a variable is told at the variable", () => {
	const file = "environment";
	expect(problemOf('[{"condition":')).toMatchObject({ file, key: "FANOUT_ROUTING_RULES", message: "is not JSON" });
	expect(problemOf('[{"condition":"always","targets":["redis"]}]')).toMatchObject({
		file,
		key: "FANOUT_ROUTING_RULES.0.targets",
		message: expect.stringMatching(/^names redis/),
	});
	expect(problemOf('[{"condition":"always","targets":["nats"]}]')).toBeUndefined();
});
