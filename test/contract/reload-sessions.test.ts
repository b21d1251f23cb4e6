/** A reload that names other servers, where sessions are in use: the registry goes along, and nothing is left at the old ones. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createFanout, type Fanout } from "mcp-fanout";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createChannel } from "../../lambda/layer/src/core/channel.ts";
import { type NatsNode, type NatsServers, startNatsServers } from "../support/nats.ts";

const LATE = { timeout: 20_000, interval: 50 };
const session = createChannel("session", "s");

let directory: string;
let old: NatsServers;
let next: NatsServers;
let here: Fanout;
let there: Fanout;

const file = () => join(directory, "fanout.toml");
const name = ({ urls }: Pick<NatsServers, "urls">) =>
	writeFileSync(file(), `[notification]\n[notification.nats]\nservers = ${JSON.stringify(urls)}\n`);
const connections = async ({ nodes: [node] }: NatsServers) =>
	((await (node as NatsNode).monitor("/connz")) as { connections: unknown[] }).connections.length;

beforeEach(async () => {
	directory = mkdtempSync(join(tmpdir(), "fanout-reload-sessions-"));
	[old, next] = await Promise.all([startNatsServers(1), startNatsServers(1)]);
	name(old);
	here = await createFanout({ config: file(), reload: { watch: false } });
	there = await createFanout({ nats: { servers: next.urls } });
});
afterEach(async () => {
	await Promise.all([here?.close(), there?.close()]);
	await Promise.all([old?.stop(), next?.stop()]);
	rmSync(directory, { recursive: true, force: true });
});

test("[P7] [P9] claims and watches after it are at the new servers, and no connection stays at the old", async () => {
	await here.sessions.claim(session);
	const heard: string[] = [];
	const registry = await here.sessions.registry();
	await registry.watch("default", {
		change: ({ session: { key }, record }) => void heard.push(`${key} ${record?.owner?.instance}`),
		suspect: () => void heard.push("suspect"),
	});
	name(next);
	expect(await here.reload()).toMatchObject({ changed: true, replaced: ["nats"] });
	await expect.poll(() => heard.includes("suspect"), LATE).toBe(true);
	await expect.poll(() => connections(old), LATE).toBe(0);
	await old.stop();

	const other = createChannel("session", "other");
	await there.sessions.claim(other);
	await expect.poll(() => heard.at(-1), LATE).toBe(`${other.key} ${there.instanceId}`);
	expect((await registry.get(other))?.owner?.instance).toBe(there.instanceId);
});

test("[P7] servers that do not answer change nothing", async () => {
	await here.sessions.claim(session);
	name({ urls: ["nats://127.0.0.1:1"] });
	await expect(here.reload()).rejects.toMatchObject({ code: "TransportUnavailable" });
	expect((await (await here.sessions.registry()).get(session))?.owner?.instance).toBe(here.instanceId);
});
