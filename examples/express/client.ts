/**
 * `node client.ts http://localhost:3000`: Ann writes to Bob. Bob's two devices hear of their inbox, at whichever process
 * they listen; Ann does not hear of hers, though it has the same name. Who has no token is turned away. Exits with 1
 * when it is otherwise.
 */
import assert from "node:assert/strict";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { INBOX } from "./build-server.ts";

const [url = "http://localhost:3000"] = process.argv.slice(2);
const SETTLE_MS = 300;
const DEADLINE_MS = 10_000;

async function device(user: string) {
	const client = new Client({ name: `${user}'s`, version: "1.0.0" }, { versionNegotiation: { mode: "auto" } });
	const headers = { authorization: `Bearer ${user}` };
	await client.connect(new StreamableHTTPClientTransport(new URL(`${url}/mcp`), { requestInit: { headers } }));
	const heard: string[] = [];
	client.setNotificationHandler("notifications/resources/updated", ({ params }) => void heard.push(params.uri));
	await client.listen({ resourceSubscriptions: [INBOX] });
	return { client, heard };
}

const settle = () => new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
const [ann, phone, laptop] = await Promise.all([device("ann"), device("bob"), device("bob")]);
const devices = [ann, phone, laptop];
// A new listen is told what changed lately; what follows is about what changes now.
await settle();
for (const { heard } of devices) heard.length = 0;

await ann.client.callTool({ name: "write", arguments: { to: "bob" } });
const end = Date.now() + DEADLINE_MS;
while (phone.heard.length + laptop.heard.length < 2 && Date.now() < end) {
	await new Promise((resolve) => setTimeout(resolve, 20));
}
await settle();
assert.deepEqual(
	devices.map(({ heard }) => heard),
	[[], [INBOX], [INBOX]],
);
const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list", params: {} });
assert.equal((await fetch(`${url}/mcp`, { method: "POST", body })).status, 401);
console.log("both of Bob's devices heard of his mail, once, and Ann of nothing");

await Promise.all(devices.map(({ client }) => client.close()));
