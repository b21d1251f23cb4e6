import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { toNodeHandler } from "../../../lambda/layer/src/mcp/node-handler.ts";

let server: Server;
beforeEach(async () => {
	const handler = toNodeHandler({ fetch: async ({ url }) => new Response(null, { headers: { asked: url } }) });
	server = createServer((req, res) => void handler(req, res)).listen(0, "127.0.0.1");
	await once(server, "listening");
});
afterEach(() => {
	server.closeAllConnections();
	server.close();
});

/** What the handler is asked, or the status of the refusal. */
async function ask(target: string, host: string): Promise<string | undefined> {
	const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
	socket.write(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
	let said = "";
	for await (const part of socket) said += part;
	return /asked: (.*)\r/.exec(said)?.[1] ?? /^HTTP\/1.1 (\d+)/.exec(said)?.[1];
}

test.each(["a/b", "a\\b", "a?", "a#", "a@b", "a b", "a:99999"])(
	"a Host that would say more than where to is refused: %s",
	async (host) => {
		expect(await ask("/mcp?x=1", host)).toBe("400");
	},
);

test("what is asked for is the path of the target, whichever form that has", async () => {
	expect(await ask("/mcp?x=1", "")).toBe("http://localhost/mcp?x=1");
	expect(await ask("//mcp", "[::1]:80")).toBe("http://[::1]//mcp");
	expect(await ask("http://b.example/mcp?x=1", "a.example:81")).toBe("http://a.example:81/mcp?x=1");
	expect(await ask("http://b.example", "a.example")).toBe("http://a.example/");
	expect(await ask("*", "a.example")).toBe("400");
});
