import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { loadConfig } from "../../../lambda/layer/src/config/file/load.ts";

async function load(text: string, environment: NodeJS.ProcessEnv = {}) {
	const folder = mkdtempSync(join(tmpdir(), "fanout-registry-"));
	writeFileSync(join(folder, "fanout.toml"), text);
	try {
		return await loadConfig(join(folder, "fanout.toml"), environment);
	} finally {
		rmSync(folder, { recursive: true });
	}
}

test("a file says where sessions are kept, and variables lie over it", async () => {
	const text = `[notification.nats]
[notification.registry]
store = "nats"
lease = "10s"
retention = "1h"
max_owned = 5000
bucket = "mine"`;
	expect((await load(text)).registry).toMatchObject({
		...{ store: "nats", leaseMs: 10_000, retentionMs: 3_600_000, maxOwned: 5_000, bucket: "mine" },
	});
	const over = { FANOUT_REGISTRY_STORE: "memory", FANOUT_REGISTRY_TABLE: "owners" };
	expect((await load(text, over)).registry).toMatchObject({ store: "memory", table: "owners" });
	expect((await load("[notification.local]")).registry).toBeUndefined();
	// The cell's own variables are none of these keys.
	const cell = { FANOUT_OWNERS_TABLE: "owners", FANOUT_SESSIONS_TABLE: "sessions" };
	expect((await load("[notification.local]", cell)).registry).toBeUndefined();
});

test.each([
	['[notification.local]\n[notification.registry]\nstore = "redis"', /registry\.store.*not enabled/s],
	['[notification.nats]\nuse_jetstream = false\n[notification.registry]\nstore = "nats"', /KV needs JetStream/],
	['[notification.local]\n[notification.registry]\nlease = "2m"\nretention = "4m"', /registry\.lease.*quarter/s],
	['[notification.local]\n[notification.registry]\nretention = "30s"', /registry\.retention.*too short/s],
	['[notification.local]\n[notification.registry]\nstore = "files"', /auto \| memory \| nats/],
])("a registry that cannot be is told at its key: %s", async (text, problem) => {
	await expect(load(text)).rejects.toThrow(problem);
});
