import { describe, expect, it } from "vitest";
import { systemClock } from "../../../../lambda/layer/src/core/clock.ts";
import { createIds } from "../../../../lambda/layer/src/core/ids.ts";
import { type AwsOptions, createAwsTransport } from "../../../../lambda/layer/src/transports/aws/index.ts";
import { resolveAwsOptions } from "../../../../lambda/layer/src/transports/aws/options.ts";
import { createScriptedApi } from "./scripted-api.ts";

const environment = {
	FANOUT_LOG_TABLE: "log",
	FANOUT_SESSIONS_TABLE: "sessions",
	FANOUT_MAILBOX_NAME: "dev-fanout-mailbox.fifo",
	FANOUT_TOPIC_ARN: "arn:aws:sns:us-east-1:000000000000:dev-fanout-topic",
	FANOUT_REGIONS: "us-east-1,eu-west-1",
	FANOUT_RETENTION_SECONDS: "3600",
	FANOUT_BACKEND_API: "wss://abc.execute-api.us-east-1.amazonaws.com/prod",
	AWS_REGION: "us-east-1",
};
const without = (name: string) => ({ ...environment, [name]: undefined });

describe("options", () => {
	it("take the cell from the environment", () => {
		expect(resolveAwsOptions({ environment })).toMatchObject({
			region: "us-east-1",
			regions: ["us-east-1", "eu-west-1"],
			retentionSeconds: 3600,
			follow: true,
		});
	});

	it.each(Object.keys(environment).filter((name) => name !== "AWS_REGION"))("name %s when it is missing", (name) => {
		expect(() => resolveAwsOptions({ environment: without(name) })).toThrow(
			expect.objectContaining({ code: "ConfigInvalid", message: expect.stringContaining(name), data: { name } }),
		);
	});

	it("need no WebSocket address where nothing is followed", () => {
		expect(resolveAwsOptions({ environment: without("FANOUT_BACKEND_API"), follow: false }).backendApi).toBe("");
	});

	const wrong: [string, AwsOptions, string][] = [
		["a region that the cell does not name", { environment, region: "ap-south-1" }, "FANOUT_REGIONS"],
		["a topic elsewhere", { environment, region: "eu-west-1" }, "FANOUT_TOPIC_ARN"],
		["no address", { environment: { ...environment, FANOUT_BACKEND_API: "https://x" } }, "FANOUT_BACKEND_API"],
		["no number", { environment: { ...environment, FANOUT_RETENTION_SECONDS: "1h" } }, "FANOUT_RETENTION_SECONDS"],
		["a wait of nothing", { environment, connectTimeoutMs: 0 }, "aws.connectTimeoutMs"],
	];
	it.each(wrong)("refuse %s by its name", (_what, options, name) => {
		expect(() => resolveAwsOptions(options)).toThrow(
			expect.objectContaining({ code: "ConfigInvalid", data: { name } }),
		);
	});
});

it("names endpoint and deadline when the cell cannot be reached at start", async () => {
	const api = await createScriptedApi();
	const options = {
		environment: { ...environment, FANOUT_BACKEND_API: api.url, AWS_ACCESS_KEY_ID: "test" },
		endpoint: "http://127.0.0.1:9",
		connectTimeoutMs: 300,
	};
	process.env.AWS_ACCESS_KEY_ID ??= "test";
	process.env.AWS_SECRET_ACCESS_KEY ??= "test";
	const transport = createAwsTransport(options, { clock: systemClock, ids: createIds(systemClock) });
	const start = () => transport.start({ report() {} }, new AbortController().signal);
	const names = (why: string) => ({
		code: "TransportUnavailable",
		message: expect.stringMatching(new RegExp(`${api.url}.*300 ms.*${why}`)),
		data: { endpoint: api.url, timeoutMs: 300 },
	});
	api.handshake = "silent";
	await expect(start()).rejects.toMatchObject(names("longer than"));
	api.handshake = 403;
	await expect(start()).rejects.toMatchObject(names("status 403"));
	await api.close();
	await expect(start()).rejects.toMatchObject(names("ECONNREFUSED"));
	await transport.close();
});
