import { expect, test } from "vitest";
import { createChannel } from "../../../../lambda/layer/src/core/channel.ts";
import type { Message } from "../../../../lambda/layer/src/core/message.ts";
import type { SessionHost } from "../../../../lambda/layer/src/mcp/session/host.ts";
import { Peers } from "../../../../lambda/layer/src/mcp/session/peers.ts";

const session = createChannel("session", "s");

function world() {
	const said: Message[] = [];
	const host = {
		namespace: "default",
		instanceId: "one",
		openFeed: () => ({ opened: Promise.resolve(), close() {} }),
		publish: async (_channel: unknown, message: Message) => void said.push(message),
	};
	const peers = new Peers(host as unknown as SessionHost, { told() {}, missed() {} });
	const wordOf = () => (said.at(-1) as unknown as { params: { message: { params?: unknown } } }).params.message;
	return { peers, wordOf };
}

test("[P6] what a client says is told to everyone without what else it sent with it, and cut to a bound", async () => {
	const { peers, wordOf } = world();
	const notice = (method: string, params?: Record<string, unknown>) =>
		peers.tellAll({ kind: "notice", session, message: { jsonrpc: "2.0", method, ...(params && { params }) } });
	await notice("notifications/cancelled", { requestId: 7, reason: "r".repeat(100_000), more: "x".repeat(100_000) });
	expect(wordOf().params).toEqual({ requestId: 7, reason: "r".repeat(2_048) });
	await notice("notifications/roots/list_changed", { _meta: { deep: [["x".repeat(100_000)]] } });
	expect(wordOf().params).toEqual({});
	await notice("notifications/initialized");
	expect(wordOf()).toEqual({ jsonrpc: "2.0", method: "notifications/initialized" });
	const message = {
		jsonrpc: "2.0",
		id: 1,
		method: "resources/subscribe",
		params: { uri: "a://b", _meta: {} },
	} as const;
	await peers.tellAll({ kind: "changed", session, message, key: "k" });
	expect(wordOf()).toEqual({ ...message, params: { uri: "a://b" } });
});

test("an answer goes to its asker whole", async () => {
	const { peers, wordOf } = world();
	const message = { jsonrpc: "2.0", id: "one|7", result: { content: "x".repeat(10_000) } } as const;
	await peers.tell("other", { kind: "reply", session, message });
	expect(wordOf()).toEqual(message);
});
