/**
 * A real browser in front of two processes, behind a balancer that knows connections and no requests: a process drains
 * while the page's stream is on it, and the balancer goes on leading there for a while. With the browser's own EventSource
 * and with the client library.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { build } from "esbuild";
import { createFanout, type Fanout } from "mcp-fanout";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { chromiumPath, type OpenBrowser, openBrowser, type Page } from "../support/chromium.ts";
import { type NatsServers, startNatsServers } from "../support/nats.ts";
import { openGate } from "../support/tcp-gate.ts";

interface Heard {
	readonly numbers: number[];
	readonly told: string[];
}
declare const heard: Heard;
declare const library: typeof import("mcp-fanout/client");

let servers: NatsServers;
let browser: OpenBrowser | undefined;
let client: string;
const cleanups: (() => unknown)[] = [];

beforeAll(async () => {
	const path = await chromiumPath();
	const contents = 'import * as library from "mcp-fanout/client"; globalThis.library = library;';
	const { outputFiles } = await build({
		stdin: { contents, resolveDir: import.meta.dirname },
		conditions: ["mcp-fanout-source"],
		platform: "browser",
		format: "esm",
		bundle: true,
		write: false,
	});
	client = outputFiles[0]?.text ?? "";
	servers = await startNatsServers();
	browser = path === undefined ? undefined : await openBrowser(path);
}, 120_000);
afterEach(async () => {
	for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});
afterAll(async () => {
	await browser?.close();
	await servers?.stop();
});

const PAGE = `<!doctype html><title>news</title><script>globalThis.heard = { numbers: [], told: [] };</script><script type="module" src="/client.js"></script>`;

async function startProcess() {
	const fanout = await createFanout({ nats: { servers: servers.urls } });
	const streams = { count: 0, opened: 0 };
	const server = createServer((req, res) => {
		if (req.url === "/") res.setHeader("Content-Type", "text/html").end(PAGE);
		else if (req.url === "/client.js") res.setHeader("Content-Type", "text/javascript").end(client);
		else if (req.url === "/events") {
			streams.count += 1;
			const { opened } = fanout.sse(req, res, { session: "page", retryMs: 100 });
			opened.then(
				() => {
					streams.opened += 1;
				},
				() => {},
			);
		} else res.writeHead(404).end();
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	cleanups.push(async () => {
		server.closeAllConnections();
		server.close();
		await fanout.close();
	});
	return { fanout, streams, port: (server.address() as AddressInfo).port };
}

/** In the page. */
const LISTENERS = [
	{
		by: "its own EventSource",
		listen: () => {
			const source = new EventSource("/events");
			source.onmessage = ({ data }) => heard.numbers.push(JSON.parse(data).params.data);
			source.addEventListener("mark", (event) => heard.told.push((event as unknown as { data: string }).data));
		},
	},
	{
		by: "connectSse",
		listen: () => {
			library.connectSse("/events", {
				onMessage: ({ message }) => heard.numbers.push((message as { params: { data: number } }).params.data),
				onEvent: (event) => event.type === "missing" && heard.told.push(event.reason),
			});
		},
	},
];

test.for(LISTENERS)(
	"[P3] [P4] [P7] a page hears all, in order, once, by $by, though its process drains and is led to all the same",
	{ timeout: 120_000 },
	async ({ listen }, context) => {
		if (browser === undefined) return context.skip("no Chromium on the PATH, and none is pinned for this platform");
		const [a, b] = await Promise.all([startProcess(), startProcess()]);
		const gate = await openGate(a.port);
		cleanups.push(() => gate.close());
		const page: Page = await browser.open(`http://127.0.0.1:${gate.port}/`);
		const numbers = () => page.run(() => heard.numbers, undefined);
		const send = (fanout: Fanout, ...all: number[]) =>
			Promise.all(all.map((data) => fanout.to({ session: "page" }).send({ method: "news/number", params: { data } })));
		await expect.poll(() => page.run(() => "library" in globalThis, undefined)).toBe(true);
		await page.run(listen, undefined);
		await expect.poll(() => a.streams.opened).toBe(1);
		await send(b.fanout, 1, 2, 3);
		await expect.poll(numbers).toEqual([1, 2, 3]);
		await a.fanout.drain({ graceMs: 200 });
		await send(b.fanout, 4, 5);
		// A browser's EventSource would be closed for good by the first refusal.
		await expect.poll(() => a.streams.count, { timeout: 30_000 }).toBeGreaterThan(3);
		gate.target = b.port;
		await send(b.fanout, 6);
		await expect.poll(numbers, { timeout: 30_000 }).toEqual([1, 2, 3, 4, 5, 6]);
		expect(await page.run(() => heard.told, undefined)).toEqual([]);
		expect(b.fanout.health().streams).toBe(1);
	},
);
