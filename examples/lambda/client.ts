/**
 * `node client.ts <url>`: an MCP client listens at the function, one of the 2025 era has a session there and subscribes,
 * another one edits; they are answered by different environments. Both are told. Exits with 1 when it is not so.
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

function within<T>(ms: number, work: Promise<T>): Promise<T> {
	const late = new Promise<never>((_, reject) => {
		setTimeout(() => reject(new Error(`nothing within ${ms} ms`)), ms).unref();
	});
	return Promise.race([work, late]);
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
// Without a say in the version the SDK's client speaks the 2025 era: it has a session, and a GET stream.
const subscriber = new Client({ name: "subscriber", version: "1.0.0" });
const updated = new Promise<string>((resolve) => {
	subscriber.setNotificationHandler("notifications/resources/updated", ({ params }) => resolve(params.uri));
});
await subscriber.connect(new StreamableHTTPClientTransport(new URL(url)));
await subscriber.subscribeResource({ uri: HANDBOOK });
await opened.promise;
const { content } = await editor.callTool({ name: "edit", arguments: { uri: HANDBOOK } });
const [accepted] = content as { text: string }[];
assert.match(accepted?.text ?? "", /^aws/);
const { value: told } = await listening.next();
assert.equal(told?.uri, HANDBOOK);
console.log(`accepted by ${accepted?.text}; the listener was told: ${told?.uri} ${told?.cause}`);
assert.equal(await within(DEADLINE_MS, updated), HANDBOOK);
console.log("the subscriber of a session was told, too");

listening.close();
await Promise.all([listener.close(), editor.close(), subscriber.close()]);
