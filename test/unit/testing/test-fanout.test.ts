import type { ClientStream } from "mcp-fanout";
import { createFakeClock, createTestFanout, type TestFanout, type TestFanoutOptions } from "mcp-fanout/testing";
import { afterEach, describe, expect, test, vi } from "vitest";
import { FanoutError } from "../../../lambda/layer/src/core/errors.ts";

const open: TestFanout[] = [];
async function make(options: TestFanoutOptions = {}): Promise<TestFanout> {
	const fanout = await createTestFanout(options);
	open.push(fanout);
	return fanout;
}
afterEach(async () => {
	await Promise.all(open.splice(0).map((fanout) => fanout.close()));
});

describe("what was published", () => {
	test("is written down with whom it was for, in order", async () => {
		const fanout = await make();
		const receipt = await fanout.notify.resourceUpdated("docs://handbook");
		await fanout.to({ principal: "user-42", tenant: "acme" }).notify.toolsChanged();
		await fanout.to({ session: "s1" }).send({ method: "notifications/message", params: { level: "info" } });
		expect(fanout.published).toEqual([
			{
				to: { kind: "all", id: "", tenant: "default" },
				method: "notifications/resources/updated",
				params: { uri: "docs://handbook" },
				id: receipt.id,
			},
			{
				to: { kind: "principal", id: "user-42", tenant: "acme" },
				method: "notifications/tools/list_changed",
				params: undefined,
				id: expect.any(String),
			},
			{
				to: { kind: "session", id: "s1", tenant: "default" },
				method: "notifications/message",
				params: { level: "info" },
				id: expect.any(String),
			},
		]);
		fanout.clear();
		expect(fanout.published).toEqual([]);
	});

	test("comes from the bus as well, and reaches the bus's listeners", async () => {
		const fanout = await make();
		const heard: unknown[] = [];
		fanout.bus().subscribe((event) => heard.push(event));
		fanout.bus().publish({ kind: "tools_list_changed" });
		await fanout.bus().flush();
		expect(heard).toEqual([{ kind: "tools_list_changed" }]);
		expect(fanout.published.map(({ method }) => method)).toEqual(["notifications/tools/list_changed"]);
	});

	test("is not what was refused", async () => {
		const fanout = await make({ timeoutMs: 50 });
		fanout.refuse(new FanoutError("TransportRefused", "not today"));
		await expect(fanout.notify.toolsChanged()).rejects.toMatchObject({ code: "TransportRefused" });
		fanout.refuse(undefined);
		await fanout.notify.promptsChanged();
		expect(fanout.published.map(({ method }) => method)).toEqual(["notifications/prompts/list_changed"]);
	});
});

test("one seed and a clock that stands still: the same ids", async () => {
	const ids = async () => {
		const fanout = await make({ clock: createFakeClock(), seed: 7 });
		await fanout.notify.toolsChanged();
		return fanout.published[0]?.id;
	};
	expect(await ids()).toBe(await ids());
});

test("the clock that stands still moves where a test runner has put its own timers in the place of Node's", async () => {
	vi.useFakeTimers();
	try {
		const clock = createFakeClock();
		const due: number[] = [];
		clock.after(10, () => void due.push(clock.monotonic()));
		await clock.advance(20);
		expect(due).toEqual([10]);
	} finally {
		vi.useRealTimers();
	}
});

test.each([
	["the system's clock", () => ({})],
	["a clock that stands still", () => ({ clock: createFakeClock() })],
])("a stream shows what was published where a test runner has faked Node's timers, with %s", async (_name, options) => {
	vi.useFakeTimers();
	try {
		const fanout = await make(options());
		const { promise: opened, resolve: onStream } = Promise.withResolvers<ClientStream>();
		const { body } = fanout.response(new Request("http://localhost/events"), { session: "s1", onStream });
		await (await opened).opened;
		for (const data of ["one", "two"]) {
			await fanout.to({ session: "s1" }).send({ method: "notifications/message", params: { data } });
		}
		let text = "";
		for await (const chunk of (body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream())) {
			text += chunk;
			if (text.includes('"two"')) break;
		}
		expect(text).toMatch(/"one".*"two"/s);
		await fanout.close();
	} finally {
		vi.useRealTimers();
	}
});
