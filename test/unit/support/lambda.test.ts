/** The stand-in for Lambda's runtime does what the runtime does: whole and streamed answers, errors, freezes, timeouts. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type LambdaFunction, startFunction } from "../../support/lambda/function.ts";

const HANDLER = `
let ticks = 0;
setInterval(() => (ticks += 1), 10);
const { streamifyResponse, HttpResponseStream } = globalThis.awslambda;
export const whole = async (event) => {
	if (event.rawPath === "/throw") throw new TypeError("thrown");
	if (event.rawPath === "/slow") await new Promise((resolve) => setTimeout(resolve, 300));
	return { statusCode: 200, headers: { "x-path": event.rawPath }, body: JSON.stringify({ ticks, pid: process.pid }) };
};
export const streamed = streamifyResponse(async (event, stream, context) => {
	if (event.rawPath === "/before") throw new Error("before the head");
	const out = HttpResponseStream.from(stream, { statusCode: 201, headers: { "x-body": atob(event.body ?? "") }, cookies: ["a=1"] });
	out.write(Buffer.from("one "));
	if (event.rawPath === "/after") throw new Error("after the head");
	if (event.rawPath === "/endless") return new Promise(() => setInterval(() => out.write(Buffer.from(".")), 20));
	await new Promise((resolve) => setTimeout(resolve, 50));
	out.end(Buffer.from(String(context.getRemainingTimeInMillis() > 0)));
});
`;
let dir: string;
const functions: LambdaFunction[] = [];

beforeAll(() => {
	dir = mkdtempSync(join(tmpdir(), "mcp-fanout lambda-"));
	writeFileSync(join(dir, "index.mjs"), HANDLER);
});
afterAll(async () => {
	await Promise.all(functions.map((fn) => fn.stop()));
	rmSync(dir, { recursive: true, force: true });
});

async function start(handler: string, timeoutMs = 10_000): Promise<LambdaFunction> {
	const logFile = join(dir, `${handler}.log`);
	const options = {
		name: handler,
		taskRoot: dir,
		handler: `index.${handler}`,
		env: {},
		nodePath: [],
		timeoutMs,
		logFile,
	};
	const fn = await startFunction(options);
	functions.push(fn);
	return fn;
}

test("whole answers; an environment is used again, frozen in between, and has a sibling while it is busy", async () => {
	const fn = await start("whole");
	const ask = async (path = "/a") => (await (await fetch(fn.url + path)).json()) as { ticks: number; pid: number };
	const first = await ask();
	await new Promise((resolve) => setTimeout(resolve, 300));
	const second = await ask();
	expect(second.pid).toBe(first.pid);
	// It would be 30 for one that was not stopped.
	expect(second.ticks - first.ticks).toBeLessThan(15);
	expect((await fetch(`${fn.url}/throw`)).status).toBe(502);
	const pids = await Promise.all([ask("/slow"), ask("/slow")]);
	expect(new Set(pids.map(({ pid }) => pid)).size).toBe(2);
	await fn.idle();
	expect(fn.environments.map((environment) => environment.sockets())).toEqual([0, 0]);
});

test("streamed answers: the head, the body as it comes, and errors before and after the head", async () => {
	const fn = await start("streamed");
	const response = await fetch(fn.url, { method: "POST", body: "said" });
	expect([response.status, response.headers.get("x-body"), response.headers.getSetCookie()]).toEqual([
		201,
		"said",
		["a=1"],
	]);
	expect(await response.text()).toBe("one true");
	expect((await fetch(`${fn.url}/before`)).status).toBe(502);
	const broken = await fetch(`${fn.url}/after`);
	expect(broken.status).toBe(201);
	await expect(broken.text()).rejects.toThrow();
	const { done } = await fn.invoke({ rawPath: "/after" });
	expect(await done).toMatchObject({ errorType: "Error", errorMessage: "after the head" });
});

test("a client that leaves is not told to the function; its time ends it", async () => {
	const fn = await start("streamed", 1_500);
	const stop = new AbortController();
	const response = await fetch(`${fn.url}/endless`, { signal: stop.signal });
	expect(response.status).toBe(201);
	stop.abort();
	await new Promise((resolve) => setTimeout(resolve, 100));
	expect(fn.environments[0]?.isIdle).toBe(false);
	await expect.poll(() => fn.environments[0]?.isOver, { timeout: 10_000 }).toBe(true);
	expect(await (await fetch(fn.url)).text()).toBe("one true");
	expect(fn.environments).toHaveLength(2);
});
