/** HTTP events of the three kinds, in the shapes that AWS documents, to requests and back. */
import { describe, expect, it } from "vitest";
import { requestOf, resultOf } from "../../../lambda/layer/src/lambda/http-event.ts";

const { signal } = new AbortController();
const rest = {
	resource: "/{proxy+}",
	path: "/mcp",
	httpMethod: "POST",
	headers: { Host: "abc.execute-api.us-east-1.amazonaws.com", "Content-Type": "application/json", Accept: "b" },
	multiValueHeaders: { Host: ["abc.execute-api.us-east-1.amazonaws.com"], Accept: ["a", "b"] },
	queryStringParameters: { x: "2", y: "a b&c" },
	multiValueQueryStringParameters: { x: ["1", "2"], y: ["a b&c"] },
	requestContext: { domainName: "abc.execute-api.us-east-1.amazonaws.com", stage: "live" },
	body: '{"a":"é"}',
	isBase64Encoded: false,
};
const http = {
	version: "2.0",
	rawPath: "/mcp",
	rawQueryString: "x=1&x=2&y=a%20b%26c",
	cookies: ["a=1", "b=2"],
	headers: { host: "id.lambda-url.us-east-1.on.aws", "content-type": "application/json" },
	requestContext: { domainName: "id.lambda-url.us-east-1.on.aws", http: { method: "POST", path: "/mcp" } },
	body: Buffer.from('{"a":"é"}').toString("base64"),
	isBase64Encoded: true,
};

describe("an event", () => {
	it.each([
		["REST API", rest, "abc.execute-api.us-east-1.amazonaws.com"],
		["HTTP API or function URL", http, "id.lambda-url.us-east-1.on.aws"],
	])("of a %s becomes its request", async (_name, event, host) => {
		const request = requestOf(event, signal);
		const url = new URL(request.url);
		expect([request.method, url.host, url.pathname]).toEqual(["POST", host, "/mcp"]);
		expect([url.searchParams.getAll("x"), url.searchParams.get("y")]).toEqual([["1", "2"], "a b&c"]);
		expect(request.headers.get("content-type")).toBe("application/json");
		expect(await request.json()).toEqual({ a: "é" });
	});

	it("keeps lists of headers and cookies", () => {
		expect(requestOf(rest, signal).headers.get("accept")).toBe("a, b");
		expect(requestOf(http, signal).headers.get("cookie")).toBe("a=1; b=2");
	});

	it("of a GET has no body, and single-value parameters do where lists are missing", async () => {
		const request = requestOf(
			{ httpMethod: "GET", path: "/", headers: null, queryStringParameters: { z: "1" }, body: null },
			signal,
		);
		expect([new URL(request.url).search, request.body]).toEqual(["?z=1", null]);
	});

	it("keeps its path whatever is in it, and takes no path or host out of a Host header", () => {
		const urlOf = (more: object) => new URL(requestOf({ ...http, ...more }, signal).url);
		// HTTP APIs hand over the path decoded.
		const odd = urlOf({ rawPath: "/files/a#b?c", rawQueryString: "x=1" });
		expect([odd.pathname, odd.search, odd.hash]).toEqual(["/files/a%23b%3Fc", "?x=1", ""]);
		for (const host of ["good@evil.example", "evil.example/admin?", "evil.example#", " "]) {
			const { hostname, pathname } = urlOf({ headers: { host } });
			expect([hostname, pathname], host).toEqual(["id.lambda-url.us-east-1.on.aws", "/mcp"]);
		}
		expect(urlOf({ headers: { host: "localhost:3000" } }).host).toBe("localhost:3000");
	});

	it("aborts its request with the invocation", () => {
		const controller = new AbortController();
		const request = requestOf(rest, controller.signal);
		controller.abort();
		expect(request.signal.aborted).toBe(true);
	});

	it.each([undefined, null, {}, { Records: [] }, { version: "2.0" }])(
		"that is none of them (%j) is refused",
		(event) => {
			expect(() => requestOf(event, signal)).toThrow(expect.objectContaining({ code: "Unsupported" }));
		},
	);
});

describe("a result", () => {
	const bytes = (text: string) => new TextEncoder().encode(text);

	it.each(["application/json", "text/event-stream", "text/html; charset=utf-8", "application/problem+json"])(
		"of %s is text",
		(type) => {
			const response = new Response("", { status: 201, headers: { "content-type": type, "x-a": "b" } });
			const result = resultOf(rest, response, bytes("é"));
			expect(result).toEqual({
				statusCode: 201,
				headers: { "content-type": type, "x-a": "b" },
				body: "é",
				isBase64Encoded: false,
			});
		},
	);

	it("is base64 when binary or encoded", () => {
		const png = Uint8Array.of(0x89, 0x50, 0xff);
		for (const headers of [
			{ "content-type": "image/png" },
			{ "content-type": "text/plain", "content-encoding": "gzip" },
		]) {
			const result = resultOf(http, new Response("", { headers: headers as Record<string, string> }), png);
			expect([result.isBase64Encoded, result.body]).toEqual([true, "iVD/"]);
		}
	});

	it("has several cookies in the event's own way", () => {
		const response = new Response(null, { status: 204 });
		response.headers.append("set-cookie", "a=1; Path=/");
		response.headers.append("set-cookie", "b=2");
		const none = new Uint8Array();
		expect(resultOf(http, response, none)).toMatchObject({
			statusCode: 204,
			body: "",
			cookies: ["a=1; Path=/", "b=2"],
		});
		expect(resultOf(rest, response, none)).toMatchObject({
			multiValueHeaders: { "set-cookie": ["a=1; Path=/", "b=2"] },
		});
		expect(resultOf(rest, response, none).headers).toEqual({});
	});
});
