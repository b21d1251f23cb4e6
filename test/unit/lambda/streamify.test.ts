/** streamify's non-streaming path: answers, flushes before it returns, and ends before the function does. */
import { describe, expect, it } from "vitest";
import type { FanoutError } from "../../../lambda/layer/src/core/errors.ts";
import { MAX_RESPONSE_BYTES, type StreamifyOptions, streamify } from "../../../lambda/layer/src/lambda/index.ts";

const event = {
	version: "2.0",
	rawPath: "/mcp",
	headers: { "content-type": "text/plain" },
	requestContext: { http: { method: "POST" } },
	body: "hello",
};
const lasting = (ms: number) => ({ getRemainingTimeInMillis: () => ms });

function setup(fetch: (request: Request) => Response | Promise<Response>, more: Partial<StreamifyOptions> = {}) {
	const calls: string[] = [];
	const errors: FanoutError[] = [];
	const fanout = {
		flush: async () => {
			await new Promise((resolve) => setTimeout(resolve, 5));
			calls.push("flushed");
		},
	};
	const handler = streamify({ fetch }, { fanout, onerror: (error) => void errors.push(error), ...more });
	return { handler, calls, errors };
}

describe("streamify", () => {
	it("answers what the app answered, after the flush", async () => {
		const { handler, calls } = setup(async (request) => new Response(`${await request.text()} back`, { status: 202 }));
		const result = await handler(event, lasting(30_000));
		expect(result).toMatchObject({ statusCode: 202, body: "hello back" });
		expect(calls).toEqual(["flushed"]);
	});

	it("ends what was at work once nothing runs any more, and flushes what that said", async () => {
		const calls: string[] = [];
		const step = (name: string) => async () => void calls.push(name);
		const fanout = { settle: step("settled"), flush: step("flushed"), rest: () => void calls.push("rested") };
		const { promise: slow, resolve: end } = Promise.withResolvers<void>();
		const app = {
			async fetch(request: Request) {
				if ((await request.text()) === "slow") await slow;
				return new Response("done");
			},
		};
		const handler = streamify(app, { fanout });
		const first = handler({ ...event, body: "slow" }, lasting(30_000));
		await handler(event, lasting(30_000));
		expect(calls).toEqual(["flushed"]);
		end();
		await first;
		expect(calls).toEqual(["flushed", "settled", "flushed", "rested"]);
	});

	it("holds no stream where answers are whole, also none that only the app knows of", async () => {
		const { handler } = setup(() => new Response("never"));
		const app = { fetch: () => new Response("never"), holds: ({ method }: Request) => method === "GET" };
		const held = streamify(app, { fanout: { flush: async () => {} } });
		const get = { ...event, requestContext: { http: { method: "GET" } }, body: undefined };
		expect((await held(get, lasting(30_000))).statusCode).toBe(405);
		expect((await handler(get, lasting(30_000))).statusCode).toBe(200);
	});

	it("reads a response that comes in pieces to its end", async () => {
		const pieces = ["event: message\n", "data: {}\n\n"];
		const body = () =>
			new ReadableStream({
				async pull(controller) {
					await new Promise((resolve) => setImmediate(resolve));
					const piece = pieces.shift();
					if (piece === undefined) controller.close();
					else controller.enqueue(new TextEncoder().encode(piece));
				},
			});
		const { handler } = setup(() => new Response(body(), { headers: { "content-type": "text/event-stream" } }));
		expect((await handler(event, lasting(30_000))).body).toBe("event: message\ndata: {}\n\n");
	});

	it("refuses what does not end before the deadline, no part under the whole's status, and cancels its source", async () => {
		let isCancelled = false;
		const open = new ReadableStream({
			start: (controller) => controller.enqueue(new TextEncoder().encode("first")),
			cancel: () => {
				isCancelled = true;
			},
		});
		const { handler, calls, errors } = setup(() => new Response(open), { marginMs: 100 });
		const result = await handler(event, lasting(150));
		expect([result.statusCode, result.headers?.["content-type"], isCancelled]).toEqual([504, "application/json", true]);
		expect(JSON.parse(result.body ?? "")).toMatchObject({ jsonrpc: "2.0", error: { code: -32_000 } });
		expect(errors.map(({ code }) => code)).toEqual(["DeadlineExceeded"]);
		expect(calls).toEqual(["flushed"]);
	});

	it("fails by the deadline when the app never answers, aborts its request and still flushes", async () => {
		let signal: AbortSignal | undefined;
		const { handler, calls } = setup(
			(request) => {
				signal = request.signal;
				return new Promise<Response>(() => {});
			},
			{ marginMs: 100 },
		);
		await expect(handler(event, lasting(150))).rejects.toMatchObject({ code: "DeadlineExceeded" });
		expect([signal?.aborted, calls]).toEqual([true, ["flushed"]]);
	});

	it("flushes and throws on when the app throws", async () => {
		const { handler, calls } = setup(() => Promise.reject(new Error("broken")));
		await expect(handler(event, lasting(30_000))).rejects.toThrow("broken");
		expect(calls).toEqual(["flushed"]);
	});

	it("answers all the same when the flush fails or hangs, and tells", async () => {
		const failing = { flush: () => Promise.reject(new Error("lost")) };
		const hanging = { flush: () => new Promise<void>(() => {}) };
		for (const [fanout, code] of [
			[failing, "AllBroadcastersFailed"],
			[hanging, "DeadlineExceeded"],
		] as const) {
			const { handler, errors } = setup(() => new Response("ok"), { fanout, flushTimeoutMs: 20 });
			expect((await handler(event, lasting(30_000))).body).toBe("ok");
			expect(errors.map((error) => error.code)).toEqual([code]);
		}
	});

	it("gives the flush no more than what is left of the function's time", async () => {
		const { handler, errors } = setup(() => new Response("ok"), {
			fanout: { flush: () => new Promise<void>(() => {}) },
		});
		expect((await handler(event, lasting(150))).body).toBe("ok");
		expect(errors).toMatchObject([{ code: "DeadlineExceeded", data: { timeoutMs: 50 } }]);
	});

	it("refuses a response that Lambda could not carry", async () => {
		const { handler, calls } = setup(() => new Response(new Uint8Array(MAX_RESPONSE_BYTES + 1)));
		await expect(handler(event, lasting(30_000))).rejects.toMatchObject({ code: "PayloadTooLarge" });
		expect(calls).toEqual(["flushed"]);
	});

	it("leaves no listener or timer behind: an invocation after the first starts afresh", async () => {
		const { handler, calls, errors } = setup(() => new Response("ok"), { marginMs: 100 });
		await handler(event, lasting(140));
		await new Promise((resolve) => setTimeout(resolve, 60));
		expect((await handler(event, lasting(140))).body).toBe("ok");
		expect([calls.length, errors]).toEqual([2, []]);
	});
});
