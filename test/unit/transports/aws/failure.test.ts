/** What a failed call to AWS means for an envelope. */
import { describe, expect, it } from "vitest";
import { failureOf } from "../../../../lambda/layer/src/transports/aws/failure.ts";

describe("a failed call", () => {
	const failed = (fields: Record<string, unknown>) => failureOf(Object.assign(new Error("x"), fields), "a send");
	const cases: [string, Record<string, unknown>, boolean, boolean][] = [
		["a connection that never stood", { name: "TimeoutError", message: "did not establish a connection" }, false, true],
		["no answer in time", { name: "TimeoutError", message: "no response within 10000 ms" }, true, true],
		["a refused connection, tried twice", { code: "ECONNREFUSED", $metadata: { attempts: 2 } }, true, true],
		["every address of a name refused", { errors: [{ code: "ECONNREFUSED" }] }, false, true],
		["a reset", { code: "ECONNRESET" }, true, true],
		["the service's own failure", { $metadata: { httpStatusCode: 500 } }, true, true],
		["a throttle", { name: "ThrottlingException", $metadata: { httpStatusCode: 400 } }, false, true],
		[
			"a partition of a table that is asked too much",
			{ name: "ProvisionedThroughputExceededException", $metadata: { httpStatusCode: 400 } },
			false,
			true,
		],
		["credentials that ended", { name: "ExpiredTokenException", $metadata: { httpStatusCode: 400 } }, false, true],
		["a refusal", { name: "AccessDenied", $metadata: { httpStatusCode: 403 } }, false, false],
	];
	it.each(cases)("%s: certainty and another try are told apart", (_what, fields, uncertain, retryable) => {
		expect(failed(fields)).toMatchObject({ ok: false, uncertain, error: { retryable } });
	});
});
