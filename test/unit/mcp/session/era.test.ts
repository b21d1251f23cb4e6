import { isLegacyRequest } from "@modelcontextprotocol/server";
import { expect, test } from "vitest";
import { systemClock } from "../../../../lambda/layer/src/core/clock.ts";
import { readJson } from "../../../../lambda/layer/src/mcp/session/body.ts";
import { eraOfBody, eraOfHeader } from "../../../../lambda/layer/src/mcp/session/era.ts";

const VERSIONS = [undefined, "2024-11-05", "2025-03-26", "2025-11-25", "2025-99-99", "2026-07-28", "2027-01-01", "x"];
const META = (version: unknown) => ({
	"io.modelcontextprotocol/protocolVersion": version,
	"io.modelcontextprotocol/clientInfo": { name: "corpus", version: "1" },
	"io.modelcontextprotocol/clientCapabilities": {},
});
const request = (method: string, params?: object) => ({ jsonrpc: "2.0", id: 1, method, ...(params && { params }) });
const hello = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "corpus", version: "1" } };
const BODIES: readonly unknown[] = [
	request("tools/list"),
	request("tools/call", { name: "x", arguments: {} }),
	request("server/discover"),
	request("initialize", hello),
	request("initialize", { ...hello, _meta: META("2026-07-28") }),
	request("initialize", { ...hello, _meta: { "io.modelcontextprotocol/protocolVersion": "2026-07-28" } }),
	request("initialize", { ...hello, _meta: META("2025-11-25") }),
	request("tools/list", { _meta: META("2026-07-28") }),
	request("tools/list", { _meta: META("2025-06-18") }),
	request("tools/list", { _meta: META(7) }),
	request("tools/list", { _meta: { "io.modelcontextprotocol/protocolVersion": "2026-07-28" } }),
	request("tools/list", { _meta: { progressToken: 1 } }),
	request("subscriptions/listen", { notifications: {}, _meta: META("2026-07-28") }),
	{ jsonrpc: "2.0", method: "notifications/initialized" },
	{ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 1, _meta: META("2026-07-28") } },
	{ jsonrpc: "2.0", id: 1, result: {} },
	{ jsonrpc: "2.0", id: 1, error: { code: 1, message: "no" } },
	[request("tools/list"), { jsonrpc: "2.0", method: "notifications/initialized" }],
	[request("tools/list", { _meta: META("2026-07-28") })],
	[],
	{},
	7,
	"text",
	null,
	{ jsonrpc: "1.0", id: 1, method: "tools/list" },
];

function post(body: string, version: string | undefined, type = "application/json"): Request {
	const headers = { "content-type": type, ...(version !== undefined && { "mcp-protocol-version": version }) };
	return new Request("http://localhost/mcp", { method: "POST", headers, body });
}

test("what the header does not settle is of the era that the SDK takes it for", async () => {
	const differing: string[] = [];
	for (const version of VERSIONS) {
		for (const body of BODIES) {
			const asked = post(JSON.stringify(body), version);
			if (eraOfHeader(asked) !== undefined) continue;
			const isLegacy = await isLegacyRequest(asked);
			if ((eraOfBody(body) === "legacy") !== isLegacy) differing.push(`${version} ${JSON.stringify(body)}`);
		}
	}
	expect(differing).toEqual([]);
});

test("a header that settles it names no version of 2024 or 2025, and what it then leaves unread is no session's", async () => {
	const modern = VERSIONS.filter((version) => eraOfHeader(post("{}", version)) === "modern");
	expect(modern).toEqual(["2026-07-28", "2027-01-01", "x"]);
	for (const version of modern) {
		for (const body of BODIES) {
			if (!(await isLegacyRequest(post(JSON.stringify(body), version)))) continue;
			// The SDK's own legacy serving answers these, which no client of either era sends.
			expect("result" in (body as object) || "error" in (body as object) || Array.isArray(body)).toBe(true);
		}
	}
});

test("a body is read when its type is JSON, up to the bound, and one that is none is answered", async () => {
	const status = async (asked: Request, max = 100) => {
		const read = await readJson(asked, { maxBodyBytes: max, bodyTimeoutMs: 100 }, systemClock);
		return read instanceof Response ? read.status : read.body;
	};
	expect(await status(post('{"a":1}', undefined, "application/json; charset=utf-8"))).toEqual({ a: 1 });
	expect(await status(post("{}", undefined, "text/plain"))).toBe(415);
	expect(await status(post("{}", undefined, "text/plain, application/json"))).toBe(415);
	expect(await status(post("{", undefined))).toBe(400);
	expect(await status(post("", undefined))).toBe(400);
	expect(await status(post(JSON.stringify("x".repeat(99)), undefined))).toBe(413);
	const endless = new ReadableStream<Uint8Array>({ pull: (controller) => controller.enqueue(new Uint8Array(64)) });
	const init = { method: "POST", body: endless, duplex: "half", headers: { "content-type": "application/json" } };
	expect(await status(new Request("http://localhost/mcp", init as RequestInit))).toBe(413);
	let isLetGo = false;
	const stuck = new ReadableStream<Uint8Array>({
		start: (controller) => controller.enqueue(Buffer.from("{")),
		cancel: () => {
			isLetGo = true;
		},
	});
	const slow = new Request("http://localhost/mcp", { ...init, body: stuck } as RequestInit);
	const late = await readJson(slow, { maxBodyBytes: 100, bodyTimeoutMs: 100 }, systemClock);
	expect(late).toMatchObject({ status: 408 });
	expect(await (late as Response).text()).toContain("100 ms");
	expect(isLetGo).toBe(true);
	const torn = Buffer.from([0x22, 0xff, 0x22]);
	expect(await status(new Request("http://localhost/mcp", { ...init, body: torn } as RequestInit))).toBe(400);
});
