import { once } from "node:events";
import { createServer, request, type Server } from "node:http";
import { connect as connectHttp2, createServer as createHttp2 } from "node:http2";
import { type AddressInfo, connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { toNodeHandler as sdkNodeHandler } from "@modelcontextprotocol/node";
import { afterEach, expect, test, vi } from "vitest";
import type { FetchExtra } from "../../../lambda/layer/src/mcp/fleet-handler.ts";
import { FrameBody, FrameStream } from "../../../lambda/layer/src/mcp/frame-body.ts";
import {
	type NodeHandler,
	type NodeHandlerOptions,
	toNodeHandler,
} from "../../../lambda/layer/src/mcp/node-handler.ts";

const servers: { close(): unknown; closeAllConnections?(): void }[] = [];
afterEach(() => {
	for (const server of servers.splice(0)) {
		server.closeAllConnections?.();
		server.close();
	}
});

async function listen(server: Server | ReturnType<typeof createHttp2>): Promise<number> {
	servers.push(server);
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	return (server.address() as AddressInfo).port;
}

type Fetch = (request: Request, extra?: FetchExtra) => Response | Promise<Response>;

async function serve(fetch: Fetch, options?: NodeHandlerOptions, more: readonly unknown[] = []) {
	const handler = toNodeHandler({ fetch }, options);
	const port = await listen(createServer((req, res) => void handler(req, res, ...more)));
	return `http://127.0.0.1:${port}/mcp`;
}

/** A listen's stream as the fleet handler answers it. */
function openListen() {
	const left = vi.fn();
	const body = new FrameBody({ refill: () => {}, cancel: left });
	const headers = { "content-type": "text/event-stream" };
	return { body, left, response: () => new Response(new FrameStream(body), { headers }) };
}

async function raw(url: string, text: string): Promise<string> {
	const socket = connect(Number(new URL(url).port), "127.0.0.1");
	socket.on("error", () => {});
	socket.write(text);
	let said = "";
	for await (const part of socket) said += part;
	return said;
}

const AUTH = { token: "t", clientId: "c", scopes: [], extra: { sub: "ada" } };

test("what a handler is asked and answers is what it is behind the SDK's adapter", async () => {
	const fetch = async (asked: Request, extra?: FetchExtra) => {
		const headers = new Headers({ "x-asked": `${asked.method} ${new URL(asked.url).pathname}` });
		headers.append("set-cookie", "a=1");
		const body = JSON.stringify({ said: await asked.text(), extra, custom: asked.headers.get("x-custom") });
		return new Response(body, { status: 203, headers });
	};
	for (const given of [undefined, { parsed: "ü" }, () => "next"]) {
		const answers: unknown[] = [];
		for (const handler of [sdkNodeHandler({ fetch }), toNodeHandler({ fetch })] as NodeHandler[]) {
			const port = await listen(
				createServer((req, res) => void handler(Object.assign(req, { auth: AUTH }), res, given)),
			);
			const answer = await globalThis.fetch(`http://127.0.0.1:${port}/a%20b?c=d`, {
				method: "POST",
				headers: { "x-custom": "one, two" },
				body: "grüß",
			});
			const [status, asked, cookie] = [answer.status, answer.headers.get("x-asked"), answer.headers.getSetCookie()];
			answers.push({ status, asked, cookie, body: await answer.json() });
		}
		expect(answers[1]).toEqual(answers[0]);
	}
});

test("cookies stay several, a HEAD has no body, and no body is none", async () => {
	const url = await serve(({ method }) => {
		const headers = new Headers([
			["set-cookie", "a=1"],
			["set-cookie", "b=2"],
		]);
		return new Response(method === "DELETE" ? null : "text", { status: method === "DELETE" ? 204 : 200, headers });
	});
	expect((await fetch(url)).headers.getSetCookie()).toEqual(["a=1", "b=2"]);
	expect(await (await fetch(url, { method: "HEAD" })).text()).toBe("");
	expect((await fetch(url, { method: "DELETE" })).status).toBe(204);
});

test("what a handler throws is a 500 that says nothing of it, and is told to `onerror`", async () => {
	const onerror = vi.fn(() => {
		throw new Error("and so does this");
	});
	const url = await serve(() => Promise.reject(new Error("secret")), { onerror });
	const answer = await fetch(url);
	expect([answer.status, await answer.text()]).toEqual([500, expect.not.stringContaining("secret")]);
	expect(onerror).toHaveBeenCalledWith(expect.objectContaining({ message: "secret" }));
});

test("a response that somebody else has begun is broken off and told, and nothing rejects", async () => {
	const onerror = vi.fn();
	const { response, left } = openListen();
	const handler = toNodeHandler({ fetch: response }, { onerror });
	const settled: unknown[] = [];
	const port = await listen(
		createServer((req, res) => {
			res.writeHead(200).write("early");
			handler(req, res).then(
				() => settled.push("resolved"),
				(error) => settled.push(error),
			);
		}),
	);
	await expect(fetch(`http://127.0.0.1:${port}/`).then((answer) => answer.text())).rejects.toThrow();
	await vi.waitFor(() => expect(settled).toEqual(["resolved"]));
	expect(onerror).toHaveBeenCalledOnce();
	expect(left).toHaveBeenCalledOnce();
});

test("[P6] a body is bounded in bytes, declared or not, and in time; what cannot be a request is refused", async () => {
	const url = await serve(() => new Response("served"), { maxBodyBytes: 10, bodyTimeoutMs: 200 });
	const head = "POST /mcp HTTP/1.1\r\nHost: localhost\r\n";
	expect(await raw(url, `${head}Content-Length: 11\r\n\r\n`)).toMatch(/^HTTP\/1.1 413 [\s\S]*at most 10 bytes/);
	expect(await raw(url, `${head}Transfer-Encoding: chunked\r\n\r\nb\r\n12345678901\r\n`)).toMatch(/^HTTP\/1.1 413 /);
	expect(await raw(url, `${head}Content-Length: 10\r\n\r\n12345`)).toMatch(/^HTTP\/1.1 408 [\s\S]*200 ms/);
	expect(await raw(url, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n")).toMatch(/^HTTP\/1.1 400 /);
	expect(await raw(url, "TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")).toMatch(/^HTTP\/1.1 400 /);
	expect(await (await fetch(url, { method: "POST", body: "0123456789" })).text()).toBe("served");
	expect(() => toNodeHandler({ fetch: () => new Response() }, { maxBodyBytes: 0 })).toThrow("maxBodyBytes");
});

test("a listen's head leaves before its frames, and each frame is on its way when it was pushed", async () => {
	const { body, left, response } = openListen();
	const url = await serve(response);
	const answer = await fetch(url);
	expect(answer.headers.get("content-type")).toBe("text/event-stream");
	const reader = answer.body?.getReader();
	for (const text of ["one", "x".repeat(5_000), "üÿ"]) {
		body.push(Buffer.from(text).toString("latin1"));
		expect(new TextDecoder().decode((await reader?.read())?.value)).toBe(text);
	}
	body.end();
	expect(await reader?.read()).toEqual({ done: true, value: undefined });
	await vi.waitFor(() => expect(left).toHaveBeenCalledOnce());
});

test("a client that leaves is told to the body and to the request; one that broke is broken off", async () => {
	const { body, left, response } = openListen();
	const asked: Request[] = [];
	const onerror = vi.fn();
	const options = { onerror };
	const url = await serve((request) => {
		asked.push(request);
		return response();
	}, options);
	const leaving = new AbortController();
	await fetch(url, { signal: leaving.signal });
	body.push("one");
	leaving.abort();
	await vi.waitFor(() => expect(left).toHaveBeenCalledOnce());
	expect(asked[0]?.signal.aborted).toBe(true);
	expect(onerror).not.toHaveBeenCalled();

	const other = openListen();
	const broken = await fetch(await serve(other.response, options));
	other.body.push("one");
	other.body.fail(new Error("the source broke"));
	await expect(broken.text()).rejects.toThrow();
	expect(onerror).toHaveBeenCalledWith(expect.objectContaining({ message: "the source broke" }));
});

test("[P6] a client that does not read pushes back, and gets all of it in order when it reads", async () => {
	const { body, response } = openListen();
	const url = await serve(response);
	const asking = request(url).end();
	const [answer] = await once(asking, "response");
	answer.pause();
	const frame = (n: number) => `${n} ${"x".repeat(65_000)}\n`;
	let sent = 0;
	for (; body.hasRoom && sent < 5_000; sent += 1) {
		body.push(frame(sent));
		if (sent % 10 === 0) await sleep(1);
	}
	expect(sent).toBeLessThan(5_000);
	body.end();
	let text = "";
	for await (const part of answer) text += part;
	expect(text).toBe(Array.from({ length: sent }, (_, n) => frame(n)).join(""));
});

test("what is no plain HTTP/1.1 goes through the response: HTTP/1.0, HTTP/2, a response that was wrapped", async () => {
	const old = openListen();
	const handler = toNodeHandler({ fetch: old.response });
	const wrapped = openListen();
	const wrapping = toNodeHandler({ fetch: wrapped.response });
	const port = await listen(
		createServer((req, res) => {
			if (req.httpVersion === "1.0") return void handler(req, res);
			const { write } = res;
			res.write = ((chunk: string, encoding: "latin1") =>
				write.call(res, chunk.toUpperCase(), encoding, () => {})) as typeof write;
			return void wrapping(req, res);
		}),
	);
	const url = `http://127.0.0.1:${port}/`;
	const said = raw(url, "GET / HTTP/1.0\r\nHost: a\r\n\r\n");
	const loud = await fetch(url);
	for (const { body } of [old, wrapped]) {
		body.push("one");
		body.push("two");
		body.end();
	}
	expect(await said).toMatch(/\r\n\r\nonetwo$/);
	expect(await loud.text()).toBe("ONETWO");

	const second = openListen();
	const serving = toNodeHandler({ fetch: second.response }) as unknown as (...args: unknown[]) => void;
	const session = connectHttp2(`http://127.0.0.1:${await listen(createHttp2((req, res) => serving(req, res)))}`);
	const stream = session.request({ ":path": "/" });
	stream.setEncoding("latin1").end();
	await once(stream, "response");
	second.body.push("one");
	expect((await once(stream, "data"))[0]).toBe("one");
	second.body.end();
	await once(stream, "end");
	session.close();
});

test("a body that is no listen's is read as any stream, and one that breaks is broken off", async () => {
	const onerror = vi.fn();
	let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
	const source = new ReadableStream<Uint8Array>({
		start(given) {
			controller = given;
		},
	});
	const answer = await fetch(await serve(() => new Response(source), { onerror }));
	controller?.enqueue(Buffer.from("one"));
	const reader = answer.body?.getReader();
	expect(new TextDecoder().decode((await reader?.read())?.value)).toBe("one");
	controller?.error(new Error("the source broke"));
	await expect(reader?.read()).rejects.toThrow();
	await vi.waitFor(() => expect(onerror).toHaveBeenCalledOnce());
});

test("[P6] the client of a listen that has ended and takes nothing of what is left is let go", async () => {
	for (const isBlocked of [true, false]) {
		const { body, left, response } = openListen();
		const url = await serve(response, { endGraceMs: 50 });
		const [answer] = await once(request(url).end(), "response");
		answer.pause();
		// More than the kernel holds, or no more than node:http keeps of it.
		while (body.hasRoom && isBlocked) {
			body.push("x".repeat(1_000_000));
			await sleep(1);
		}
		body.end();
		await vi.waitFor(() => expect(left).toHaveBeenCalledOnce(), 20_000);
		answer.destroy();
	}
});

test("[P7] a connection is kept after an answer, and not after a stream or a refusal for now", async () => {
	const { response, body } = openListen();
	const url = await serve(({ url }) => {
		const { search } = new URL(url);
		if (search === "?listen") return response();
		if (search === "?busy") return new Response("", { status: 503 });
		const type = search === "?call" ? "text/event-stream" : "application/json";
		return new Response("{}", { headers: { "content-type": type } });
	});
	const connectionOf = async (search: string, method: string) => {
		const answer = await fetch(`${url}${search}`, { method });
		if (search === "?listen") body.end();
		await answer.text();
		return answer.headers.get("connection");
	};
	// A call's answer may be a stream of its own, which ends with it.
	for (const search of ["", "?call"]) expect(await connectionOf(search, "POST")).toBe("keep-alive");
	expect(await connectionOf("?listen", "POST")).toBe("close");
	expect(await connectionOf("?call", "GET")).toBe("close");
	expect(await connectionOf("?busy", "POST")).toBe("close");
});
