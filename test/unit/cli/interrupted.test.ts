/** Ctrl-C while a command dials: there is nothing to end in order yet, and the dial may take a minute. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { expect, test } from "vitest";

const TOO_LONG_MS = "600000";

test.each([
	["send", "--all", "--method", "notifications/message"],
	["tail", "--all"],
	["check", "--dial"],
])("fanout %s ends at the first signal", async (...args) => {
	const silent = createServer();
	silent.listen(0, "127.0.0.1");
	await once(silent, "listening");
	const child = spawn(process.execPath, ["--conditions=mcp-fanout-source", "cli/fanout.ts", ...args], {
		env: {
			PATH: process.env.PATH,
			FANOUT_NATS_SERVERS: `nats://127.0.0.1:${(silent.address() as AddressInfo).port}`,
			FANOUT_NATS_CONNECT_TIMEOUT_MS: TOO_LONG_MS,
			FANOUT_START_TIMEOUT_MS: TOO_LONG_MS,
		},
	});
	let said = "";
	child.stderr.on("data", (part) => {
		said += part;
	});
	const ended = once(child, "close");
	try {
		await Promise.race([once(silent, "connection"), ended]);
		child.kill("SIGINT");
		const [code, signal] = await ended;
		expect({ code, signal, said }).toMatchObject({ signal: null, said: expect.stringContaining("interrupted") });
		expect(code).not.toBe(0);
	} finally {
		child.kill("SIGKILL");
		silent.close();
	}
});
