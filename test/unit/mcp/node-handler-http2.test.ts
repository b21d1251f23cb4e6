import { once } from "node:events";
import { type ClientHttp2Session, connect, constants, createServer, type Http2Server } from "node:http2";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test, vi } from "vitest";
import { FrameBody, FrameStream } from "../../../lambda/layer/src/mcp/frame-body.ts";
import { toNodeHandler } from "../../../lambda/layer/src/mcp/node-handler.ts";

let server: Http2Server;
let session: ClientHttp2Session;
afterEach(() => {
	session.destroy();
	server.close();
});

test.each([
	["a listen", "before it is answered"],
	["a listen", "later"],
	["another stream", "before it is answered"],
	["another stream", "later"],
])("[P6] a client of HTTP/2 that leaves is told to its request, and to %s: %s", async (what, when) => {
	const asked = Promise.withResolvers<Request>();
	const answering = Promise.withResolvers<void>();
	const left = vi.fn();
	const handler = toNodeHandler({
		async fetch(request) {
			asked.resolve(request);
			await answering.promise;
			const listen = new FrameStream(new FrameBody({ refill: () => {}, cancel: left }));
			return new Response(what === "a listen" ? listen : new ReadableStream({ cancel: left }));
		},
	}) as unknown as (...args: unknown[]) => Promise<void>;
	const over = Promise.withResolvers<void>();
	server = createServer((req, res) => over.resolve(handler(req, res)));
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
	const stream = session.request({ ":path": "/" }).on("error", () => {});
	const { signal } = await asked.promise;
	if (when === "later") {
		answering.resolve();
		await once(stream, "response");
	}
	stream.close(constants.NGHTTP2_CANCEL);
	await vi.waitFor(() => expect(signal.aborted).toBe(true));
	answering.resolve();
	await over.promise;
	expect(left).toHaveBeenCalledOnce();
});

test.each([
	["does not come", 408, "{"],
	["is too long", 413, "x".repeat(200)],
])("[P6] a body that %s holds its stream no longer than its refusal takes to leave", async (_what, status, sent) => {
	const warned = vi.spyOn(process, "emitWarning");
	const handler = toNodeHandler(
		{ fetch: async () => new Response() },
		{ bodyTimeoutMs: 50, maxBodyBytes: 100 },
	) as unknown as (...args: unknown[]) => Promise<void>;
	const over = Promise.withResolvers<void>();
	server = createServer((req, res) => over.resolve(handler(req, res)));
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
	const stream = session.request({ ":path": "/", ":method": "POST" });
	stream.write(sent);
	let said = "";
	stream.on("data", (part) => {
		said += part;
	});
	const [headers] = await once(stream, "response");
	expect(headers).toMatchObject({ ":status": status, "content-type": "application/json" });
	await Promise.all([once(stream, "close"), over.promise]);
	expect(stream.rstCode).toBe(constants.NGHTTP2_NO_ERROR);
	expect(JSON.parse(said)).toMatchObject({ error: { code: -32_000 } });
	expect(warned).not.toHaveBeenCalled();
});
