/**
 * Client streams of one's own, with MCP beside them or without: a WebSocket as a browser has it and server-sent events,
 * both Ann's. The WebSocket breaks, and its client comes back with the last cursor that it saw.
 */
import { createServer, type IncomingMessage } from "node:http";
import { createFanout } from "mcp-fanout";
import { connectSse } from "mcp-fanout/client";
import { WebSocketServer } from "ws";

const fanout = await createFanout();
/** Stands for your own authentication: who is asking is never the client's word. */
const userOf = (_req: IncomingMessage): string | undefined => "ann";

const server = createServer((req, res) => void fanout.sse(req, res, { principal: userOf(req) }));
new WebSocketServer({ server }).on("connection", (ws, req) => {
	const lastEventId = new URL(req.url ?? "/", "ws://here").searchParams.get("cursor") ?? undefined;
	fanout.websocket(ws, { principal: userOf(req), lastEventId });
});
await new Promise<void>((resolve) => server.listen(0, resolve));
const { port } = server.address() as { port: number };

// What a page does: it keeps the cursor of each frame, and comes back with the last.
let cursor = "";
interface Frame {
	readonly cursor?: string;
	readonly message?: { readonly params: { readonly data: string } };
	/** Something before this point is missing, or the stream ends: why. */
	readonly mark?: string;
	readonly end?: string;
}
function open(take: (frame: Frame) => void): WebSocket {
	const ws = new WebSocket(`ws://localhost:${port}/?cursor=${cursor}`);
	ws.onmessage = ({ data }) => {
		const frame = JSON.parse(data as string) as Frame;
		cursor = frame.cursor ?? cursor;
		take(frame);
	};
	return ws;
}

const say = (data: string) =>
	fanout.to({ principal: "ann" }).send({ method: "notifications/message", params: { level: "info", data } });
const opened = Promise.withResolvers<void>();
const sse = connectSse(`http://localhost:${port}/`, { onEvent: ({ type }) => type === "open" && opened.resolve() });
await opened.promise;

await new Promise<void>((resolve) => {
	const first = open(({ message }) => {
		if (message === undefined) return void say("one");
		console.log(`WebSocket: ${message.params.data}`);
		first.close();
	});
	first.onclose = () => resolve();
});
await say("two, while it was away");
await new Promise<void>((resolve) => {
	const second = open(({ message }) => {
		if (message === undefined) return;
		console.log(`WebSocket: ${message.params.data}`);
		second.close();
	});
	second.onclose = () => resolve();
});

for await (const { message } of sse) {
	const { data } = message.params as { data: string };
	console.log(`SSE: ${data}`);
	if (data.startsWith("two")) break;
}
sse.close();
await fanout.close();
server.close();
server.closeAllConnections();
