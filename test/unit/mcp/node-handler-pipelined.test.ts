import { once } from "node:events";
import { createServer, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { afterEach, expect, test, vi } from "vitest";
import { FrameBody, FrameStream } from "../../../lambda/layer/src/mcp/frame-body.ts";
import { toNodeHandler } from "../../../lambda/layer/src/mcp/node-handler.ts";
import { asOfOlderNode } from "../../support/older-node.ts";

let server: Server;
afterEach(() => {
	server.closeAllConnections();
	server.close();
});

const NODES = [
	["this Node", () => {}],
	["an older one", asOfOlderNode],
] as const;

test.each(
	NODES.flatMap(([node, as]) => (["a listen", "another stream"] as const).map((what) => [node, what, as] as const)),
)("[P6] on %s, %s that waits behind another on its connection goes with its client", async (_node, what, as) => {
	const left = vi.fn();
	const asked: Request[] = [];
	const over: Promise<void>[] = [];
	const handler = toNodeHandler({
		fetch(request) {
			asked.push(request);
			const listen = new FrameStream(new FrameBody({ refill: () => {}, cancel: left }));
			return new Response(what === "a listen" ? listen : new ReadableStream({ cancel: left }));
		},
	});
	server = createServer((req, res: ServerResponse) => {
		as(res);
		over.push(handler(req, res));
	});
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
	const count = 20;
	socket.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n".repeat(count));
	await vi.waitFor(() => expect(asked).toHaveLength(count));
	const warned = vi.fn();
	process.once("warning", warned);
	socket.destroy();
	await Promise.all(over);
	expect(left).toHaveBeenCalledTimes(count);
	expect(asked.filter(({ signal }) => !signal.aborted)).toEqual([]);
	process.off("warning", warned);
	expect(warned).not.toHaveBeenCalled();
});
