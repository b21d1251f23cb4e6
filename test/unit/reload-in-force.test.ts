/** What a reload says it changed is what is in force, and what it did not change goes on. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createChannel } from "../../lambda/layer/src/core/channel.ts";
import { createFanout, type Fanout } from "../../lambda/layer/src/fanout.ts";

let directory: string;
let file: string;
const open: Fanout[] = [];

beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "fanout reload-"));
	file = join(directory, "fanout.toml");
});
afterEach(async () => {
	await Promise.all(open.splice(0).map((fanout) => fanout.close()));
	rmSync(directory, { recursive: true, force: true });
});

const write = (lines: readonly string[]) => writeFileSync(file, ["[notification]", ...lines, ""].join("\n"));
async function start(lines: readonly string[]): Promise<Fanout> {
	write(lines);
	const fanout = await createFanout({ config: file, reload: { watch: false } });
	open.push(fanout);
	return fanout;
}

test("what the registry is told before its first use is in force with it", async () => {
	const registry = (most: number) => ["[notification.local]", "[notification.registry]", `max_owned = ${most}`];
	const fanout = await start(registry(1));
	write(registry(2));
	expect(await fanout.reload()).toMatchObject({ changed: true });
	for (const session of ["a", "b"]) await fanout.sessions.claim(createChannel("session", session));
	expect(fanout.health().owned).toBe(2);
});

test("[P3] a default of the local log that is written out ends no client stream, and its file stays open", async () => {
	const local = ["[notification.local]", `file = ${JSON.stringify(join(directory, "local.db"))}`];
	const fanout = await start(local);
	write([...local, "max_events_per_channel = 100"]);
	expect(await fanout.reload()).toEqual({ changed: true, added: [], removed: [], replaced: [] });
});
