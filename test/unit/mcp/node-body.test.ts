import { once } from "node:events";
import { createServer, request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test, vi } from "vitest";
import { writeBody } from "../../../lambda/layer/src/mcp/node-body.ts";

let server: Server;
afterEach(() => {
	server.closeAllConnections();
	server.close();
});

/** Asks once; what the server does with the response. */
async function answered(answer: (res: ServerResponse) => Promise<void>) {
	const written = Promise.withResolvers<void>();
	written.promise.catch(() => {});
	server = createServer((_req, res) => written.resolve(answer(res)));
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	const asking = request({ port: (server.address() as AddressInfo).port, host: "127.0.0.1" }).on("error", () => {});
	asking.end();
	const [response] = await once(asking, "response");
	return { asking, response, written: written.promise };
}

/** A body of so many chunks, and how many were asked for. */
function bodyOf(count: number, chunk = Buffer.alloc(64 * 1024, "x")) {
	const made = { chunks: 0, cancelled: vi.fn() };
	const body = new ReadableStream<Uint8Array>(
		{
			pull(controller) {
				if (made.chunks === count) return controller.close();
				made.chunks += 1;
				controller.enqueue(chunk);
			},
			cancel: made.cancelled,
		},
		{ highWaterMark: 0 },
	);
	return { made, body };
}

test("[P6] a body is asked for no faster than its client takes it, and all of it arrives", async () => {
	const { made, body } = bodyOf(1_000);
	const { response, written } = await answered((res) => {
		res.flushHeaders();
		return writeBody(body, res);
	});
	response.pause();
	let before = -1;
	await expect
		.poll(() => {
			const isStill = made.chunks === before;
			before = made.chunks;
			return isStill;
		})
		.toBe(true);
	expect(made.chunks).toBeLessThan(1_000);
	let bytes = 0;
	for await (const part of response) bytes += part.length;
	await written;
	expect([made.chunks, bytes, made.cancelled.mock.calls.length]).toEqual([1_000, 1_000 * 64 * 1024, 0]);
});

test("a client that leaves while nothing fits, or while nothing is said, is told to the body", async () => {
	for (const count of [1_000, 0]) {
		const { made, body } = count === 0 ? { made: { cancelled: vi.fn() }, body: undefined } : bodyOf(count);
		const quiet = new ReadableStream<Uint8Array>({ cancel: made.cancelled });
		const { response, asking, written } = await answered((res) => {
			res.flushHeaders();
			return writeBody(body ?? quiet, res);
		});
		response.pause();
		asking.destroy();
		await written;
		expect(made.cancelled).toHaveBeenCalledOnce();
	}
});

test("what breaks the body is thrown, and a body whose response somebody else ends hears of it", async () => {
	const broken = new ReadableStream<Uint8Array>({
		pull(controller) {
			controller.error(new Error("the source broke"));
		},
	});
	const first = await answered((res) => {
		res.flushHeaders();
		return writeBody(broken, res);
	});
	await expect(first.written).rejects.toThrow("the source broke");
	server.closeAllConnections();
	const { made, body } = bodyOf(1_000_000);
	const { response, written } = await answered((res) => {
		res.flushHeaders();
		const writing = writeBody(body, res);
		res.end();
		return writing;
	});
	response.resume();
	await written;
	expect(made.cancelled).toHaveBeenCalledOnce();
});
