/**
 * `node client.ts http://localhost:3000/mcp`: MCP clients of both eras behind one address. Whichever process they listen
 * at, an edit reaches all of them once, and what is for Ann reaches Ann's devices only. Exits with 1 when it does not.
 */
import assert from "node:assert/strict";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { HANDBOOK } from "./build-server.ts";

const [url = "http://localhost:3000/mcp"] = process.argv.slice(2);
const SETTLE_MS = 300;
const DEADLINE_MS = 10_000;

interface Device {
	readonly name: string;
	readonly client: Client;
	readonly heard: string[];
}

async function open(name: string, user?: string, isOfThe2025Era = false): Promise<Device> {
	const options = isOfThe2025Era ? {} : { versionNegotiation: { mode: "auto" as const } };
	const client = new Client({ name, version: "1.0.0" }, options);
	const heard: string[] = [];
	client.setNotificationHandler("notifications/resources/updated", ({ params }) => void heard.push(params.uri));
	client.setNotificationHandler("notifications/tools/list_changed", () => void heard.push("tools"));
	const headers: Record<string, string> = user === undefined ? {} : { authorization: `Bearer ${user}` };
	await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));
	if (isOfThe2025Era) await client.subscribeResource({ uri: HANDBOOK });
	else await client.listen({ toolsListChanged: true, resourceSubscriptions: [HANDBOOK] });
	return { name, client, heard };
}

/** What each device heard, once nothing more comes. */
async function told(devices: readonly Device[], expected: number): Promise<string[]> {
	const end = Date.now() + DEADLINE_MS;
	const count = () => devices.reduce((sum, { heard }) => sum + heard.length, 0);
	while (count() < expected && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 20));
	await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
	return devices.map(({ name, heard }) => `${name}: ${heard.splice(0).sort().join(" ")}`);
}

const devices: readonly [Device, ...Device[]] = await Promise.all([
	open("ann's phone", "ann"),
	open("ann's laptop", "ann"),
	open("ann's old one", "ann", true),
	open("bob", "bob"),
	open("anonymous"),
	open("anonymous old one", undefined, true),
]);
// A new listen is told what changed lately; what follows is about what changes now.
await told(devices, 0);

const [phone] = devices;
await phone.client.callTool({ name: "edit", arguments: { uri: HANDBOOK } });
const everyone = devices.map(({ name }) => `${name}: ${HANDBOOK}`);
assert.deepEqual(await told(devices, devices.length), everyone);
console.log(everyone.join("\n"));

await phone.client.callTool({ name: "unlock", arguments: {} });
const anns = devices.map(({ name }) => `${name}: ${name.startsWith("ann's") ? "tools" : ""}`);
assert.deepEqual(await told(devices, 3), anns);
console.log(anns.join("\n"));

await Promise.all(devices.map(({ client }) => client.close()));
