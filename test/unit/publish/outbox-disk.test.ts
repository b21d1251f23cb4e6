/** The outbox's file on a disk that fails while the process runs. */
import { execFileSync } from "node:child_process";
import { closeSync, openSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { FanoutError } from "../../../lambda/layer/src/core/errors.ts";
import type { Transport } from "../../../lambda/layer/src/core/transport.ts";
import { createOutgoing } from "../../../lambda/layer/src/outgoing.ts";
import { openOutboxFile } from "../../../lambda/layer/src/publish/outbox-file.ts";
import { FakeBroker } from "../../../lambda/layer/src/testing/fake-broker.ts";
import { createFakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";
import { createFakeTransport } from "../../../lambda/layer/src/testing/fake-transport.ts";
import { createRandom } from "../../support/random.ts";
import { ROOT } from "../../support/root.ts";
import { createDisk } from "./outbox-disk.ts";

const disk = createDisk();
/** Blocks of 512 bytes, so that no file grows beyond a megabyte. */
const MAX_BLOCKS = 2_048;

test("[P7] [P9] a disk that takes no more is told, and is not asked again in every turn that queues something; once there is room all of it is written", () => {
	const script = join(import.meta.dirname, "full-disk-process.ts");
	const run = [process.execPath, "--conditions=mcp-fanout-source", script, disk.file];
	const limited = ["-c", `ulimit -f ${MAX_BLOCKS} && exec "$@"`, "sh", ...run];
	const said = JSON.parse(execFileSync("sh", limited, { cwd: ROOT, encoding: "utf8" }));
	expect(said).toEqual({
		states: ["ok", "failed", "failed", "ok"],
		told: [expect.stringContaining(`outbox.file ${disk.file} cannot be written`)],
		kept: [1, 3, 4, 5, 6, 7],
	});
});

/** Overwrites all of it but its head, as a disk that loses its blocks. */
function ruin(path: string): void {
	const { size } = statSync(path);
	const descriptor = openSync(path, "r+");
	writeSync(descriptor, Buffer.alloc(size - 8_192, 0xa5), 0, size - 8_192, 8_192);
	closeSync(descriptor);
}

test("[P7] a file that cannot be read any more when a reload brings its lane back stops nothing halfway: it is told", async () => {
	// More than SQLite keeps in memory of what it looked at.
	const before = openOutboxFile({ file: disk.file, monotonic: () => 0, report() {} });
	for (let at = 0; at < 500; at += 1) before.put("b", at, "x".repeat(16_384));
	before.close();
	const clock = createFakeClock();
	const told: string[] = [];
	const options = { timeoutMs: 1_000, outbox: { file: disk.file }, priorities: {}, disabled: [] };
	const deps = { clock, random: createRandom(1).next, report: ({ message }: FanoutError) => told.push(message) };
	const [a, b, c] = ["a", "b", "c"].map((name, index) =>
		createFakeTransport(new FakeBroker(createRandom(index).next), { name }),
	) as [Transport, Transport, Transport];
	const outgoing = await createOutgoing([a], options, deps);
	disk.open.push(outgoing);
	const putInForce = await outgoing.prepare([b, a, c], options);
	ruin(disk.file);
	await putInForce();
	expect(outgoing.health.map(({ lane }) => lane)).toEqual(["b", "a", "c"]);
	expect(told).toEqual([expect.stringContaining(`outbox.file ${disk.file} cannot be read`)]);
});
