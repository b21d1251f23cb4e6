/**
 * `node client.ts http://localhost:3000/mcp`: one session of the SDK's v1 client, its requests spread over all processes.
 * What it chose at one holds at every other, a question asked by one is answered through another, and a message to the
 * session arrives. Ended, it is gone everywhere. Exits with 1 when it is otherwise.
 */
import assert from "node:assert/strict";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ElicitRequestSchema, LoggingMessageNotificationSchema } from "@modelcontextprotocol/sdk/types.js";

const [url = "http://localhost:3000/mcp"] = process.argv.slice(2);
const DEADLINE_MS = 10_000;
/** Another process's change of the state is known within a second. */
const STATE_MS = 1_100;
const ROUNDS = 6;

const client = new Client({ name: "v1-client", version: "1.0.0" }, { capabilities: { elicitation: {} } });
client.setRequestHandler(ElicitRequestSchema, async () => ({ action: "accept", content: { name: "Ann" } }));
const heard: unknown[] = [];
client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => void heard.push(params.data));
const transport = new StreamableHTTPClientTransport(new URL(url));
// The SDK's own types differ by an optional property under exactOptionalPropertyTypes.
await client.connect(transport as Parameters<typeof client.connect>[0]);
const { sessionId = "" } = transport;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function call(name: string, args: Record<string, unknown> = {}): Promise<string> {
	const { content } = (await client.callTool({ name, arguments: args })) as { content: { text: string }[] };
	return content[0]?.text ?? "";
}

const greetings = async () => {
	const said: string[] = [];
	for (let round = 0; round < ROUNDS; round += 1) said.push(await call("greet"));
	return [...new Set(said)];
};
assert.deepEqual(await greetings(), ["Hello, Ann"]);
await call("speak", { language: "fr" });
await sleep(STATE_MS);
assert.deepEqual(await greetings(), ["Bonjour, Ann"]);

await fetch(new URL(`/sessions/${sessionId}`, url), { method: "POST", body: "your order has left" });
const end = Date.now() + DEADLINE_MS;
while (heard.length === 0 && Date.now() < end) await sleep(20);
assert.deepEqual(heard, ["your order has left"]);

await transport.terminateSession();
await sleep(STATE_MS);
const headers = {
	"content-type": "application/json",
	accept: "application/json, text/event-stream",
	"mcp-session-id": sessionId,
};
const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list" });
for (let round = 0; round < ROUNDS; round += 1) {
	assert.equal((await fetch(url, { method: "POST", headers, body })).status, 404);
}
console.log("one session, many processes: its state, its questions and its messages came along, and its end");
await client.close();
