/**
 * `node client.ts <url>`: an MCP client listens at the function, another one edits; they are answered by different
 * environments of it. The listener is told, and goes on listening when its lease ends. Exits with 1 when it is not so.
 */
import assert from "node:assert/strict";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { keepListening } from "mcp-fanout/client";
import { HANDBOOK } from "../node-fleet/build-server.ts";

const [url = "http://localhost:3000/mcp"] = process.argv.slice(2);
const DEADLINE_MS = 30_000;

async function connect(name: string): Promise<Client> {
	const client = new Client({ name, version: "1.0.0" }, { versionNegotiation: { mode: "auto" } });
	await client.connect(new StreamableHTTPClientTransport(new URL(url)));
	return client;
}

const [listener, editor] = await Promise.all([connect("listener"), connect("editor")]);
const opened = Promise.withResolvers<void>();
const listening = keepListening(
	listener,
	{ resourceSubscriptions: [HANDBOOK] },
	{
		signal: AbortSignal.timeout(DEADLINE_MS),
		onEvent: ({ type }) => {
			if (type === "open") opened.resolve();
		},
	},
);
await opened.promise;
const { content } = await editor.callTool({ name: "edit", arguments: { uri: HANDBOOK } });
const [accepted] = content as { text: string }[];
assert.match(accepted?.text ?? "", /^aws/);
const { value: told } = await listening.next();
assert.equal(told?.uri, HANDBOOK);
console.log(`accepted by ${accepted?.text}; the listener was told: ${told?.uri} ${told?.cause}`);

listening.close();
await Promise.all([listener.close(), editor.close()]);
