/** What a session's server says, in the order in which it said it, also where hearing has to be waited for. */
import { expect, test } from "vitest";
import type { Message } from "../../../../lambda/layer/src/core/message.ts";
import { SessionTransport } from "../../../../lambda/layer/src/mcp/session/transport.ts";

test("an answer does not overtake what was said before it, not awaited, while a dial is waited for", async () => {
	const { promise: dialled, resolve: dial } = Promise.withResolvers<void>();
	const transport = new SessionTransport("s", {
		instanceId: "i",
		hear: () => dialled,
		publish: async () => undefined,
		answered: (answer) => answer,
		act: (task) => task(),
		report: () => undefined,
		closed: () => undefined,
	});
	const told: Message[] = [];
	const take = (message: Message) => void told.push(message);
	const asker = { answer: take, say: (message: Message) => told.push(message) > 0, forget: () => undefined };
	transport.request({ jsonrpc: "2.0", id: 1, method: "tools/call" }, asker, {});
	const progress = { jsonrpc: "2.0", method: "notifications/progress", params: { progress: 1 } } as const;
	const said = transport.send(progress, { relatedRequestId: 1 });
	const answer = { jsonrpc: "2.0", id: 1, result: {} } as const;
	const answering = transport.send(answer);
	dial();
	await Promise.all([said, answering]);
	expect(told).toEqual([progress, answer]);
});
