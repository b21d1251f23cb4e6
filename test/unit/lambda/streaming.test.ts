/** streamify where the runtime streams: the head, its reader's pace, and what becomes of errors and of lost readers. */
import { describe, expect, it } from "vitest";
import { FakeStream, invoke, isStreaming } from "./runtime.ts";
import { EVENTS, encode, LISTEN, POST, setup } from "./scene.ts";

describe("an answer that streams", () => {
	it("has its status, headers and cookies before its body, in the shape of the event", async () => {
		const answer = () => {
			const response = new Response("hello", { status: 201, headers: { "x-one": "1", connection: "close" } });
			response.headers.append("set-cookie", "a=1");
			response.headers.append("set-cookie", "b=2");
			return response;
		};
		const { handler } = setup(answer);
		expect(isStreaming(handler)).toBe(true);
		const url = invoke(handler, POST);
		const rest = invoke(handler, { httpMethod: "POST", path: "/mcp", headers: {}, body: "{}" });
		await Promise.all([url.done, rest.done]);
		const headers = { "content-type": "text/plain;charset=UTF-8", "x-one": "1" };
		expect(url.stream.head).toEqual({ statusCode: 201, headers, cookies: ["a=1", "b=2"] });
		expect(rest.stream.head).toEqual({
			statusCode: 201,
			headers,
			multiValueHeaders: { "set-cookie": ["a=1", "b=2"] },
		});
		expect([url.stream.body, url.stream.isEnded]).toEqual(["hello", true]);
	});

	it("has a head without a body, and before a body's first byte", async () => {
		const empty = invoke(setup(() => new Response(null, { status: 202 })).handler, POST);
		await empty.done;
		expect([empty.stream.head, empty.stream.body, empty.stream.isEnded]).toEqual([
			{ statusCode: 202, headers: {} },
			"",
			true,
		]);
		let close = () => {};
		const silent = () =>
			new Response(
				new ReadableStream({
					start(controller) {
						close = () => controller.close();
					},
				}),
			);
		const { stream, done } = invoke(setup(silent).handler, POST);
		await new Promise((resolve) => setTimeout(resolve, 5));
		expect([stream.head, stream.isEnded]).toEqual([{ statusCode: 200, headers: {} }, false]);
		close();
		await done;
	});

	it("costs no hold, and ends after the flush", async () => {
		const stream = new FakeStream();
		const { handler, calls } = setup(() => new Response("ok"), {});
		stream.end = (done: () => void) => {
			calls.push("end");
			done();
		};
		await invoke(handler, POST, 30_000, stream).done;
		expect(calls).toEqual(["fetch", "flush", "rest", "end"]);
	});

	it("waits for a slow reader, and lets go of one that never reads when the time is over", async () => {
		const pieces = (count: number) => {
			let pulled = 0;
			const body = new ReadableStream<Uint8Array>(
				{
					pull(controller) {
						if (pulled === count) return controller.close();
						pulled += 1;
						controller.enqueue(encode(`${pulled} `));
					},
				},
				{ highWaterMark: 0 },
			);
			return { response: () => new Response(body), pulled: () => pulled };
		};
		const slow = pieces(3);
		const one = invoke(setup(slow.response).handler, POST, 30_000, Object.assign(new FakeStream(), { room: 1 }));
		await new Promise((resolve) => setTimeout(resolve, 5));
		expect([one.stream.body, slow.pulled()]).toEqual(["1 ", 1]);
		one.stream.room = Number.POSITIVE_INFINITY;
		one.stream.emit("drain");
		await one.done;
		expect(one.stream.body).toBe("1 2 3 ");

		const never = pieces(3);
		const stalled = setup(never.response, { marginMs: 40 });
		const two = invoke(stalled.handler, POST, 60, Object.assign(new FakeStream(), { room: 1 }));
		await two.done;
		expect([never.pulled(), two.stream.isDestroyed, stalled.errors.map(({ code }) => code)]).toEqual([
			1,
			true,
			["DeadlineExceeded"],
		]);
	});

	it.each(["error", "close"])("ends its source when the reader is lost (%s), without an error", async (how) => {
		let cancelled: unknown;
		let signal: AbortSignal | undefined;
		const { handler, calls, errors } = setup((request) => {
			signal = request.signal;
			const cancel = (reason: unknown) => {
				cancelled = reason ?? "cancelled";
			};
			return new Response(new ReadableStream({ cancel }));
		});
		const { stream, done } = invoke(handler, EVENTS);
		await new Promise((resolve) => setTimeout(resolve, 5));
		stream.emit(how);
		await done;
		expect([cancelled !== undefined, signal?.aborted, errors, stream.isEnded]).toEqual([true, true, [], false]);
		expect(calls).toEqual(["hold", "fetch", "flush", "release", "rest"]);
	});

	it("fails the invocation when the app throws before the head, and when its body does after it", async () => {
		const before = setup(() => Promise.reject(new Error("no answer")));
		const one = invoke(before.handler, LISTEN);
		await expect(one.done).rejects.toThrow("no answer");
		expect([one.stream.text, one.stream.isEnded]).toEqual(["", false]);
		expect(before.calls).toEqual(["hold", "fetch", "flush", "release", "rest"]);

		let fail = () => {};
		const after = setup(
			() =>
				new Response(
					new ReadableStream({
						start(controller) {
							controller.enqueue(encode("half"));
							fail = () => controller.error(new Error("broke"));
						},
					}),
				),
		);
		const two = invoke(after.handler, POST);
		await new Promise((resolve) => setTimeout(resolve, 5));
		fail();
		await expect(two.done).rejects.toThrow("broke");
		expect([two.stream.body, two.stream.isEnded]).toEqual(["half", false]);
		expect(after.calls).toEqual(["fetch", "flush", "rest"]);
	});
});
