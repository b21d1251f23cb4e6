/**
 * `node client.ts http://localhost:3000`: three MCP clients listen to one page each, at whichever process; a page is
 * changed through the ordinary route, at another one. Exits with 1 unless each page's listeners, and nobody else, hear.
 */
import assert from "node:assert/strict";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { PAGES } from "./build-server.ts";

const [url = "http://localhost:3000"] = process.argv.slice(2);
const SETTLE_MS = 300;
const DEADLINE_MS = 10_000;
const [HANDBOOK, PRICES] = PAGES;

async function listenTo(page: string) {
	const client = new Client({ name: "hono-client", version: "1.0.0" }, { versionNegotiation: { mode: "auto" } });
	await client.connect(new StreamableHTTPClientTransport(new URL(`${url}/mcp`)));
	const heard: string[] = [];
	client.setNotificationHandler("notifications/resources/updated", ({ params }) => void heard.push(params.uri));
	await client.listen({ resourceSubscriptions: [page] });
	return { client, heard };
}

const settle = () => new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
const listeners = await Promise.all([listenTo(HANDBOOK), listenTo(HANDBOOK), listenTo(PRICES)]);
// A new listen is told what changed lately; what follows is about what changes now.
await settle();
for (const { heard } of listeners) heard.length = 0;

const answer = await fetch(`${url}/pages/handbook`, { method: "PUT" });
assert.equal(answer.status, 200);
const end = Date.now() + DEADLINE_MS;
const count = () => listeners.reduce((sum, { heard }) => sum + heard.length, 0);
while (count() < 2 && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 20));
await settle();
assert.deepEqual(
	listeners.map(({ heard }) => heard),
	[[HANDBOOK], [HANDBOOK], []],
);
console.log(`both listeners of ${HANDBOOK} heard of it, once; accepted by ${String(await answer.json())}`);

await Promise.all(listeners.map(({ client }) => client.close()));
