import { createMcpHandler, type ServerEvent } from "@modelcontextprotocol/server";
import { afterEach, expect, test } from "vitest";
import { createChannel } from "../../../lambda/layer/src/core/channel.ts";
import { systemClock } from "../../../lambda/layer/src/core/clock.ts";
import { MAX_FRAMES } from "../../../lambda/layer/src/mcp/frame-body.ts";
import { settle } from "../../support/settle.ts";
import { auth, buildServer, type Fleet, type Handler, PRINCIPAL, rawListen, startFleet } from "./fleet.ts";

const fleets: Fleet[] = [];
afterEach(async () => {
	await Promise.all(fleets.splice(0).map((fleet) => fleet.stop()));
});
async function fleetOf(...args: Parameters<typeof startFleet>) {
	const fleet = await startFleet(...args);
	fleets.push(fleet);
	const [handler] = fleet.handlers as [Handler];
	const [fanout] = fleet.fanouts as [Fleet["fanouts"][number]];
	const updated = (uri: string, n?: number) =>
		fanout.to({ all: true }).send({ method: "notifications/resources/updated", params: { uri, _meta: { n } } });
	return { fleet, handler, fanout, updated };
}

/** The frames that lie in a body, as JSON, until `count` were read. */
async function frames(response: Response, count: number): Promise<string[]> {
	const reader = response.body?.getReader();
	const found: string[] = [];
	while (found.length < count) {
		const { value, done } = (await reader?.read()) ?? { done: true };
		if (done) break;
		const text = new TextDecoder().decode(value);
		if (text.startsWith("event:")) found.push(text);
	}
	reader?.releaseLock();
	return found;
}

const FILTER = { toolsListChanged: true, resourcesListChanged: true, resourceSubscriptions: ["docs://a", "docs://ü"] };

test("frames are the SDK's own, byte for byte but for the order of members", async () => {
	const { handler } = await fleetOf(1);
	const sdk = createMcpHandler(() => buildServer());
	const events: ServerEvent[] = [
		{ kind: "tools_list_changed" },
		{ kind: "resources_list_changed", params: { _meta: { n: 1, 'quo"te': "ü\u2028" }, more: [1] } },
		{ kind: "resource_updated", uri: "docs://ü", params: { _meta: { "io.modelcontextprotocol/subscriptionId": 9 } } },
		{ kind: "resource_updated", uri: "docs://a", params: { note: "x" } },
	];
	for (const id of [7, 'i"d']) {
		const ours = await rawListen(handler, FILTER, {}, id);
		const theirs = await rawListen(sdk as never, FILTER, {}, id);
		await settle();
		for (const event of events) {
			handler.bus.publish(event);
			sdk.bus.publish(event);
		}
		const parse = (texts: readonly string[]) =>
			texts.map((text) => [text.split("data: ")[0], JSON.parse(text.split("data: ")[1] as string), text.slice(-2)]);
		const [got, wanted] = await Promise.all([frames(ours, 5), frames(theirs, 5)]);
		expect(got).toHaveLength(5);
		// A second listen is told what changed lately: only the live ones are compared.
		expect(parse(got).slice(0, 1)).toEqual(parse(wanted).slice(0, 1));
		if (id === 7) expect(parse(got)).toEqual(parse(wanted));
	}
	await sdk.close();
});

test("[P3] a new listen is told once of each thing it asked for that changed lately, on any process, old ones included", async () => {
	const { fleet, fanout, updated } = await fleetOf(1);
	await updated("docs://a", 1);
	await updated("docs://a", 2);
	await updated("docs://b", 1);
	await fanout.notify.promptsChanged();
	await fanout.notify.toolsChanged();
	const late = await fleet.add();
	for (const handler of [fleet.handlers[0] as Handler, late]) {
		const { heard } = await fleet.listen(handler, ["docs://a", "docs://c"]);
		await settle();
		expect(heard.map(({ method, uri }) => uri ?? method).sort()).toEqual([
			"docs://a",
			"notifications/tools/list_changed",
		]);
	}
});

test("[P3] catchUpMs bounds how far back a new listen is told", async () => {
	const { fleet, handler, updated } = await fleetOf(1, { catchUpMs: 30 });
	await updated("docs://a");
	await settle(60);
	const { heard } = await fleet.listen(handler, ["docs://a"]);
	await updated("docs://a", 5);
	await settle();
	expect(heard.map(({ n }) => n)).toEqual([5]);
});

test("[P3] a wall clock that is set forward makes no change of the last minutes an old one", async () => {
	let aheadMs = 0;
	const clock = { ...systemClock, now: () => Date.now() + aheadMs };
	const { fleet, handler, updated } = await fleetOf(1, {}, { clock });
	await fleet.listen(handler, ["docs://a"]);
	await updated("docs://a");
	await settle();
	aheadMs = 3_600_000;
	const { heard } = await fleet.listen(handler, ["docs://a"]);
	await expect.poll(() => heard.map(({ uri }) => uri)).toEqual(["docs://a"]);
});

test("[P3] a principal's past is read when its first listen opens, and never shown to another", async () => {
	const { fleet, handler, fanout } = await fleetOf(1, PRINCIPAL);
	await fanout.to({ principal: "ann" }).notify.resourceUpdated("docs://a");
	const ann = await fleet.listen(handler, ["docs://a"], auth({ sub: "ann" }));
	const bob = await fleet.listen(handler, ["docs://a"], auth({ sub: "bob" }));
	await settle();
	expect([ann.heard.length, bob.heard.length]).toEqual([1, 0]);
});

test.each([
	["cannot be read", "readFails"],
	["is answered by a replica that is behind", "stale"],
] as const)("[P3] where history %s, everything counts as changed", async (_, fault) => {
	const { fleet, fanout } = await fleetOf(1);
	await fanout.notify.promptsChanged();
	const late = await fleet.add();
	fleet.broker.faults[fault] = 1;
	const { heard } = await fleet.listen(late, ["docs://a"]);
	await expect.poll(() => heard.length, { timeout: 5_000 }).toBe(2);
	expect(heard.map(({ method, uri }) => uri ?? method).sort()).toEqual([
		"docs://a",
		"notifications/tools/list_changed",
	]);
	expect(fleet.errors.length > 0).toBe(fault === "readFails");
});

test("[P3] after a loss every listen is told of all that it asked for", async () => {
	const { fleet, handler, fanout, updated } = await fleetOf(1);
	const { heard } = await fleet.listen(handler, ["docs://a", "docs://b"]);
	await updated("docs://a");
	await settle();
	const all = createChannel("all", "", { namespace: fanout.namespace });
	fleet.broker.reset(all);
	fleet.broker.nudge(all);
	await expect.poll(() => heard.length, { timeout: 5_000 }).toBe(4);
	expect(
		heard
			.slice(1)
			.map(({ method, uri }) => uri ?? method)
			.sort(),
	).toEqual(["docs://a", "docs://b", "notifications/tools/list_changed"]);
});

test("[P6] a listen that nobody reads holds a bounded number of frames, and of each key the last", async () => {
	const { fleet, handler } = await fleetOf(1);
	const uris = Array.from({ length: 10 }, (_, i) => `docs://${i}`);
	const stalled = await rawListen(handler, { resourceSubscriptions: uris });
	await settle();
	const total = 5_000;
	for (let n = 0; n < total; n += 1) {
		handler.bus.publish({ kind: "resource_updated", uri: uris[n % 10] as string, params: { _meta: { n } } });
		if (n % 500 === 499) await fleet.fanouts[0]?.flush();
	}
	await settle();
	const read = await frames(stalled, MAX_FRAMES + 10);
	const numbers = read.slice(1).map((text) => JSON.parse(text.split("data: ")[1] as string).params._meta.n as number);
	expect(read).toHaveLength(MAX_FRAMES + 10);
	expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
	expect(numbers.slice(-10)).toEqual(Array.from({ length: 10 }, (_, i) => total - 10 + i));
});

test("a listen whose acknowledgement cannot be read is served by the SDK's own listener", async () => {
	const { fleet, fanout } = await fleetOf(1);
	const { createFleetHandler } = await import("../../../lambda/layer/src/mcp/index.ts");
	const bus = fanout.bus();
	const heard: string[] = [];
	const handler = createFleetHandler(
		{
			async fetch() {
				const start = (controller: ReadableStreamDefaultController<Uint8Array>) => {
					controller.enqueue(new TextEncoder().encode("hello\n\n"));
					bus.subscribe(({ kind }) => heard.push(kind));
				};
				return new Response(new ReadableStream({ start }));
			},
		},
		{ fanout, bus },
	);
	const response = await handler.fetch(new Request("http://localhost/"));
	await settle();
	await fanout.notify.promptsChanged();
	await settle();
	expect(heard).toEqual(["prompts_list_changed"]);
	await response.body?.cancel();
	expect(fleet.errors).toEqual([]);
});
