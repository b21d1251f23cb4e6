import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const folder = join(import.meta.dirname, "../../contract");
const rows = readdirSync(folder)
	.filter((file) => file.endsWith(".test.ts"))
	.flatMap((file) => [...readFileSync(join(folder, file), "utf8").matchAll(/^(?:row|runContract)\("([^"]+)"/gm)])
	.map(([, name]) => name as string);

/** Every flavour that is promised, on a real server: one that loses its row would lose its promises in silence. */
test.each([
	"local, in memory",
	"local, in a SQLite file",
	"nats, one node, in memory",
	"nats, one node, in files",
	"nats, three nodes, replicated in files",
	"nats, core without JetStream",
	"redis, one server",
	"redis, under Sentinels",
	"redis, a cluster",
	"aws, sessions by their home's mailbox",
	"aws, topics by every region's relay, one by one",
	"postgres, the example of a transport from outside",
])("[P1] [P2] [P3] [P4] the contract suite runs on: %s", (name) => {
	expect(rows.filter((row) => row === name)).toEqual([name]);
});
