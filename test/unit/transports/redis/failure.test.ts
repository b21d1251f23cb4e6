import { describe, expect, it } from "vitest";
import { FanoutError } from "../../../../lambda/layer/src/core/errors.ts";
import { failureOf, isReadOnly } from "../../../../lambda/layer/src/transports/redis/failure.ts";

const reply = (message: string) => Object.assign(new Error(message), { name: "ReplyError" });
/** As servers before Redis 7 answer it out of a script. */
const scripted = (message: string) =>
	reply(`ERR Error running script (call to f_1028a5dba704e1d8a01fd96efeba25bb78f62df2): @user_script:4: ${message}`);
const cases: readonly [Error, string, boolean, boolean][] = [
	[reply("READONLY You can't write against a read only replica."), "TransportUnavailable", true, false],
	[reply("LOADING Redis is loading the dataset in memory"), "TransportUnavailable", true, false],
	[reply("CLUSTERDOWN The cluster is down"), "TransportUnavailable", true, false],
	[reply("NOREPLICAS Not enough good replicas to write."), "TransportUnavailable", true, false],
	[reply("OOM command not allowed when used memory > 'maxmemory'."), "TransportUnavailable", true, false],
	[reply("MISCONF Errors writing to the AOF file"), "TransportUnavailable", true, false],
	[
		scripted("@user_script: 4: -READONLY You can't write against a read only replica."),
		"TransportUnavailable",
		true,
		false,
	],
	[scripted("@user_script: 4: -OOM command not allowed when used memory"), "TransportUnavailable", true, false],
	[scripted("-MISCONF Redis is configured to save RDB snapshots"), "TransportUnavailable", true, false],
	[scripted("@user_script: 4: Unknown Redis command called from Lua script"), "TransportRefused", false, true],
	[
		reply(
			"ERR ACL failure in script: User u has no permissions to run the 'publish' command script: on @user_script:9.",
		),
		"TransportRefused",
		false,
		true,
	],
	[reply("NOPERM no permissions to access a channel script: a0, on @user_script:9."), "TransportRefused", false, true],
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

it("a primary that became a replica is known by what it answers, out of a script as well [P7]", () => {
	expect(isReadOnly(new Error("READONLY You can't write against a read only replica."))).toBe(true);
	expect(isReadOnly(scripted("@user_script: 4: -READONLY You can't write against a read only replica."))).toBe(true);
	expect(isReadOnly(scripted("@user_script: 4: -OOM command not allowed"))).toBe(false);
});

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
