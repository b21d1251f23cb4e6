import { describe, expect, it } from "vitest";
import { FanoutError } from "../../../../lambda/layer/src/core/errors.ts";
import { failureOf } from "../../../../lambda/layer/src/transports/redis/failure.ts";

const reply = (message: string) => Object.assign(new Error(message), { name: "ReplyError" });
const cases: readonly [Error, string, boolean, boolean][] = [
	[reply("READONLY You can't write against a read only replica."), "TransportUnavailable", true, false],
	[reply("LOADING Redis is loading the dataset in memory"), "TransportUnavailable", true, false],
	[reply("CLUSTERDOWN The cluster is down"), "TransportUnavailable", true, false],
	[reply("NOREPLICAS Not enough good replicas to write."), "TransportUnavailable", true, false],
	[reply("OOM command not allowed when used memory > 'maxmemory'."), "TransportUnavailable", true, false],
	[reply("MISCONF Errors writing to the AOF file"), "TransportUnavailable", true, false],
	[reply("ERR PARTITIONS the store has 4, not 5"), "ConfigInvalid", false, false],
	[reply("PARTITIONS the store has 4, not 5"), "ConfigInvalid", false, false],
	[reply("NOPERM this user has no permissions"), "TransportRefused", false, false],
	[reply("WRONGPASS invalid username-password pair"), "TransportRefused", false, false],
	[reply("ERR unknown command 'XADD'"), "TransportRefused", false, false],
	[new Error("Stream isn't writeable and enableOfflineQueue options is false"), "TransportUnavailable", true, false],
	[new Error("Cluster isn't ready and enableOfflineQueue options is false"), "TransportUnavailable", true, false],
	[new Error("Connection is closed."), "TransportUnavailable", true, true],
	[new Error("Reached the max retries per request limit (which is 0)."), "TransportUnavailable", true, true],
	[new Error("Socket timeout. Expecting data, but didn't receive any in 4000ms."), "TransportUnavailable", true, true],
];

describe("failures [P1] [P7]", () => {
	it.each(cases)("%s", (cause, code, retryable, uncertain) => {
		const { error, uncertain: found } = failureOf(cause, "it failed");
		expect({ code: error.code, retryable: error.retryable, uncertain: found }).toEqual({ code, retryable, uncertain });
		expect(error.cause).toBe(cause);
	});

	it("pass an error of ours unchanged", () => {
		const error = new FanoutError("Closed", "closed");
		expect(failureOf(error, "it failed").error).toBe(error);
	});
});
