import { expect, test } from "vitest";
import { Asks, askerOf } from "../../../../lambda/layer/src/mcp/session/asks.ts";

const INSTANCE = "01a22f65-0585-73e9-96ac-1de5a330190f";

test.each([7, "mine", "7"])("progress with an ask comes back under the token that the server gave it: %o", (token) => {
	const asks = new Asks(INSTANCE);
	const params = { maxTokens: 1, _meta: { progressToken: token, other: true } };
	const out = asks.outbound({ jsonrpc: "2.0", id: 7, method: "sampling/createMessage", params });
	const { id, params: said } = out as unknown as { id: string; params: { _meta: object } };
	expect(askerOf(id)).toBe(INSTANCE);
	expect(said).toEqual({ maxTokens: 1, _meta: { progressToken: id, other: true } });
	const progress = {
		jsonrpc: "2.0",
		method: "notifications/progress",
		params: { progressToken: id, progress: 1 },
	} as const;
	expect(asks.inbound(progress)).toEqual({ ...progress, params: { progressToken: token, progress: 1 } });
	expect(asks.inbound({ jsonrpc: "2.0", id, result: {} })).toEqual({ jsonrpc: "2.0", id: 7, result: {} });
	expect([asks.size, asks.inbound(progress), asks.inbound({ jsonrpc: "2.0", id, result: {} })]).toEqual([
		0,
		undefined,
		undefined,
	]);
});

test("an ask without a token gets none, and its cancellation names it as the client knows it", () => {
	const asks = new Asks(INSTANCE);
	const out = asks.outbound({ jsonrpc: "2.0", id: 0, method: "roots/list" });
	expect(out).toEqual({ jsonrpc: "2.0", id: expect.any(String), method: "roots/list" });
	const cancel = { jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 0 } } as const;
	expect(asks.outbound(cancel)).toEqual({ ...cancel, params: { requestId: (out as { id: string }).id } });
	expect(asks.size).toBe(0);
});
