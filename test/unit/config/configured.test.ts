import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, expect, test } from "vitest";
import { configured } from "../../../lambda/layer/src/config/configured.ts";
import { ENV } from "../../../lambda/layer/src/config/env-names.ts";
import { variables } from "../../../lambda/layer/src/config/file/schema.ts";
import { createFanout } from "../../../lambda/layer/src/fanout.ts";
import { ROOT } from "../../support/root.ts";

const directory = mkdtempSync(join(tmpdir(), "fanout configured-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const FILE = join(directory, "fanout.toml");
writeFileSync(
	FILE,
	"[notification]\ntimeout_ms = 250\ncluster_id = 'of the file'\n[notification.local]\nmax_events = 7\n",
);

test("without a file and without variables nothing is changed, whatever a cell says", async () => {
	const options = { timeoutMs: 9 };
	const environment = { [ENV.topicArn]: "arn", [ENV.logTable]: "log", FANOUT_LOCAL_FILE: "" };
	expect(await configured(options, environment)).toEqual({ options });
});

test("FANOUT_CONFIG names a file; what the caller gives lies over it, table by table", async () => {
	const { options } = await configured({ timeoutMs: 9, streams: { maxStreams: 3 } }, { FANOUT_CONFIG: FILE });
	expect(options).toMatchObject({ timeoutMs: 9, namespace: "of the file", local: { maxEvents: 7 } });
	const { options: merged } = await configured({ config: FILE, local: { maxBytes: 1e6 }, namespace: undefined }, {});
	expect(merged).toMatchObject({ namespace: "of the file", timeoutMs: 250, local: { maxEvents: 7, maxBytes: 1e6 } });
});

test("a caller who names transports reads no file", async () => {
	const options = { local: {} };
	expect(await configured(options, { FANOUT_CONFIG: join(directory, "missing.toml") })).toEqual({ options });
});

test("every key's variable alone is noticed, and none of a cell's is one of them", async () => {
	const cell = new Set<string>(Object.values(ENV));
	for (const { name } of variables()) {
		expect(cell.has(name), name).toBe(false);
		// No key takes this: that it is refused shows that it was read.
		const outcome = configured({}, { [name]: "\n" });
		await outcome.then(
			({ options }) => expect(options, name).not.toEqual({}),
			(error) => expect(error.code, name).toBe("ConfigInvalid"),
		);
	}
});

test("a fanout runs by its file", async () => {
	const fanout = await createFanout({ config: FILE });
	expect(fanout.namespace).toBe("of the file");
	await fanout.notify.toolsChanged();
	await fanout.close();
	await expect(createFanout({ config: join(directory, "none.toml") })).rejects.toMatchObject({ code: "ConfigInvalid" });
});

test("./fanout.toml is found, and neither smol-toml nor zod is loaded where there is none", async () => {
	const script = `
		import { registerHooks } from "node:module";
		const loaded = [];
		registerHooks({ load(url, context, next) { loaded.push(url); return next(url, context); } });
		const { createFanout } = await import(${JSON.stringify(join(ROOT, "lambda/layer/src/index.ts"))});
		const fanout = await createFanout();
		await fanout.close();
		console.log(JSON.stringify([fanout.namespace, loaded.some((url) => /smol-toml|\\/zod\\//.test(url))]));
	`;
	const run = async (cwd: string) => {
		const args = ["--conditions=mcp-fanout-source", "--input-type=module", "-e", script];
		const { stdout } = await promisify(execFile)(process.execPath, args, { cwd, env: { PATH: process.env.PATH } });
		return JSON.parse(stdout) as unknown;
	};
	expect(await run(directory)).toEqual(["of the file", true]);
	expect(await run(ROOT)).toEqual(["default", false]);
});

test.each<[string, unknown]>([
	["a transport that does not exist", { nat: { servers: "nats://127.0.0.1:4222" } }],
	["options that are none of a fanout", "nats"],
	["nothing", null],
	["a transport that is no object of options", { local: 5 }],
	["an address in the place of options", { nats: "nats://user:secret@127.0.0.1" }],
])("[P7] %s is refused by name and never taken for a process of its own", async (_what, given) => {
	const message = expect.not.stringContaining("secret");
	await expect(createFanout(given as never)).rejects.toMatchObject({
		code: "ConfigInvalid",
		retryable: false,
		message,
	});
});
