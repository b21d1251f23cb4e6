import { execFile } from "node:child_process";
import { createServer } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ENV } from "../../lambda/layer/src/config/env-names.ts";
import { FanoutError } from "../../lambda/layer/src/core/errors.ts";
import { createFanout } from "../../lambda/layer/src/fanout.ts";
import { FakeBroker } from "../../lambda/layer/src/testing/fake-broker.ts";
import { createFakeTransport } from "../../lambda/layer/src/testing/fake-transport.ts";
import { createRandom } from "../support/random.ts";

/** A port on which nobody listens. */
async function deadPort(): Promise<number> {
	const server = createServer().listen(0, "127.0.0.1");
	await new Promise((resolve) => server.once("listening", resolve));
	const { port } = server.address() as { port: number };
	await new Promise((resolve) => server.close(resolve));
	return port;
}

function cellAt(socket: string, endpoint: string): Record<string, string> {
	return {
		PATH: process.env.PATH ?? "",
		AWS_REGION: "eu-west-1",
		AWS_ACCESS_KEY_ID: "test",
		AWS_SECRET_ACCESS_KEY: "secret-that-must-not-show",
		AWS_ENDPOINT_URL: endpoint,
		[ENV.namespace]: "dev",
		[ENV.logTable]: "log",
		[ENV.sessionsTable]: "sessions",
		[ENV.mailboxName]: "mailbox.fifo",
		[ENV.topicArn]: "arn:aws:sns:eu-west-1:000000000000:topic",
		[ENV.regions]: "eu-west-1",
		[ENV.retentionSeconds]: "3600",
		[ENV.backendApi]: socket,
	};
}

/** For one that hangs. The lane of a transport that is away is waited for ten seconds, whatever the machine does. */
const RUN_DEADLINE_MS = 60_000;

/** Runs a program that only starts a fanout; resolves with how it ended. */
function run(
	options: string,
	env: Record<string, string>,
): Promise<{ code: number | null; stdout: string; stderr: string }> {
	const program = `import { createFanout } from "mcp-fanout"; const f = await createFanout(${options}); console.log(f.health().ready); await f.close();`;
	const args = ["--conditions=mcp-fanout-source", "--input-type=module", "--eval", program];
	const cwd = join(import.meta.dirname, "../..");
	return new Promise((resolve) => {
		execFile(process.execPath, args, { cwd, env, timeout: RUN_DEADLINE_MS }, (error, stdout, stderr) => {
			resolve({ code: error === null ? 0 : typeof error.code === "number" ? error.code : null, stdout, stderr });
		});
	});
}

test("[P7] [P10] no lane at start: the process ends with code 1; the error names endpoint and deadline, and no secret", async () => {
	const port = await deadPort();
	const env = cellAt(`ws://127.0.0.1:${port}/live`, `http://127.0.0.1:${port}`);
	const { code, stderr } = await run(`{ aws: { connectTimeoutMs: 700 } }`, env);
	expect(code).toBe(1);
	expect(stderr).toContain("TransportUnavailable");
	expect(stderr).toContain(`ws://127.0.0.1:${port}/live`);
	expect(stderr).toContain("700 ms");
	expect(stderr).not.toContain("secret-that-must-not-show");
	expect(stderr).not.toContain("X-Amz-Signature");
}, 90_000);

test("[P7] degrade: with a local lane beside it the process serves, and closes cleanly while the other is still tried", async () => {
	const port = await deadPort();
	const env = cellAt(`ws://127.0.0.1:${port}/live`, `http://127.0.0.1:${port}`);
	const options = `{ local: {}, aws: { connectTimeoutMs: 300 }, startup: "degrade" }`;
	const { code, stdout } = await run(options, env);
	expect([code, stdout.trim()]).toEqual([0, "true"]);
}, 90_000);

test.each([
	["DependencyMissing", false],
	["TransportUnavailable", true],
] as const)("a start that failed with %s: worth another try: %s", async (code, retryable) => {
	const transport = createFakeTransport(new FakeBroker(createRandom(1).next));
	const start = async () => {
		throw new FanoutError(code, "it did not", { retryable });
	};
	const starting = createFanout({ transports: [{ ...transport, start }], startup: "fail" });
	await expect(starting).rejects.toMatchObject({ code: "TransportUnavailable", retryable });
});
