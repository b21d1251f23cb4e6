/** The mission's own file, with the addresses of real servers: it loads, and two processes behave as it reads. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createFanout, type Fanout } from "mcp-fanout";
import { afterAll, beforeAll, expect, test } from "vitest";
import { main } from "../../cli/main.ts";
import { type NatsNode, type NatsServers, startNatsServers } from "../support/nats.ts";

const MISSION = readFileSync(join(import.meta.dirname, "../unit/config/mission.toml"), "utf8");
const directory = mkdtempSync(join(tmpdir(), "fanout-mission-"));
const file = join(directory, "fanout.toml");
const session = "lambda-7";

let servers: NatsServers;
let fleet: Fanout[] = [];

beforeAll(async () => {
	servers = await startNatsServers(1);
	const written = MISSION.replace(/servers = .*/, `servers = ${JSON.stringify(servers.urls)}`);
	expect(written).not.toBe(MISSION);
	writeFileSync(file, written);
	fleet = await Promise.all([createFanout({ config: file }), createFanout({ config: file })]);
});
afterAll(async () => {
	await Promise.all(fleet.map((fanout) => fanout.close()));
	await servers?.stop();
	rmSync(directory, { recursive: true, force: true });
});

/** What a client stream shows, until a text came. */
async function follow(fanout: Fanout): Promise<(text: string) => Promise<string>> {
	let opened: Promise<void> | undefined;
	const response = fanout.response(new Request("http://localhost/events"), {
		session,
		onStream: (stream) => {
			opened = stream.opened;
		},
	});
	await opened;
	const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
	let seen = "";
	return async (text) => {
		while (!seen.includes(text)) seen += (await reader?.read())?.value ?? "";
		return seen;
	};
}

test("progress goes by NATS to every process, all else stays where it was sent", async () => {
	const [here, there] = fleet as [Fanout, Fanout];
	const [own, other] = await Promise.all([follow(here), follow(there)]);
	const send = async (method: string, name: string) => {
		const receipt = await here.to({ session }).send({ method, params: { progressToken: name, progress: 1 } });
		return receipt.accepted.map(({ lane }) => lane);
	};
	expect(await send("notifications/progress", "first")).toEqual(["nats"]);
	expect(await send("notifications/message", "kept")).toEqual(["local"]);
	expect(await send("notifications/progress", "last")).toEqual(["nats"]);
	expect(await other("last")).not.toContain("kept");
	expect(await other("last")).toContain("first");
	expect(await own("last")).toContain("first");
	expect(await own("kept")).toContain("kept");
	expect(here.namespace).toBe("mcp-cluster");
});

test("the servers see its names: client, streams, and the count divided among them", async () => {
	const [node] = servers.nodes as [NatsNode];
	const { connections } = (await node.monitor("/connz")) as { connections: { name: string }[] };
	const names = connections.map(({ name }) => name);
	for (const { instanceId } of fleet) expect(names).toContain(`mcp-instance-${instanceId}`);
	const { account_details: accounts } = (await node.monitor("/jsz?streams=true&config=true")) as {
		account_details: { stream_detail: { name: string; config: { max_msgs: number; max_age: number } }[] }[];
	};
	const streams = accounts.flatMap(({ stream_detail }) => stream_detail);
	expect(streams.length).toBeGreaterThan(0);
	expect(streams.map(({ name }) => name).sort()).toEqual(streams.map((_, index) => `mcp_notifications-${index}`));
	expect(streams.reduce((sum, { config }) => sum + config.max_msgs, 0)).toBe(1_000_000);
	expect(new Set(streams.map(({ config }) => config.max_age / 3_600e9))).toEqual(new Set([24]));
});

test("fanout check dials what is enabled", async () => {
	const out: string[] = [];
	const err: string[] = [];
	const output = { out: (text: string) => out.push(text), err: (text: string) => err.push(text) };
	expect(await main(["check", file, "--dial"], {}, output), err.join("\n")).toBe(0);
	expect(out.slice(-2).map((line) => line.split(" in ")[0])).toEqual(["local: started", "nats: started"]);
});
