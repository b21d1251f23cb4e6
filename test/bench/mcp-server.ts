/**
 * Many 2026-07-28 listens on one node:http server: on the SDK's own in-memory bus; through the fleet handler and a
 * whole fanout, publish to frame, by our adapter for node:http or by the SDK's; or bare, a frame made beforehand and written to the one response that is meant: what
 * Node and the kernel take for it, with no MCP in between. Driven by its parent over IPC.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { toNodeHandler as sdkNodeHandler } from "@modelcontextprotocol/node";
import { createMcpHandler, McpServer, type ServerEvent } from "@modelcontextprotocol/server";
import { createFanout } from "../../lambda/layer/src/fanout.ts";
import { createFleetHandler, toNodeHandler } from "../../lambda/layer/src/mcp/index.ts";
import { collected } from "./memory.ts";

export type McpOrder =
	| { readonly do: "measure" }
	/** A collection that leaves compiled code alone, as the one before a measure of memory does not. */
	| { readonly do: "collect" }
	| { readonly do: "targeted"; readonly events: number; readonly perSecond?: number }
	/** The waiting of a paced order alone. */
	| { readonly do: "wait"; readonly events: number; readonly perSecond: number }
	| { readonly do: "everyone" | "flood"; readonly events: number };

export interface McpMeasure {
	readonly rss: number;
	readonly heap: number;
	/** Microseconds of CPU since the process started. */
	readonly cpu: number;
	readonly listens: number;
}

const TURN = 100;
const EVERYONE_MS = 20;

const capabilities = { tools: { listChanged: true }, resources: { subscribe: true, listChanged: true } };
const buildServer = () => new McpServer({ name: "bench", version: "1.0.0" }, { capabilities });
const options = { maxSubscriptions: 1_000_000, keepAliveMs: 0 };

const FRAME = 'event: message\ndata: {"jsonrpc":"2.0","method":"notifications/resources/updated","params":{}}\n\n';

/** Responses are opened in the order of their resources' numbers. */
function createBare() {
	const responses: ServerResponse[] = [];
	return {
		bus: {
			publish(event: ServerEvent): void {
				if (event.kind !== "resource_updated") for (const res of responses) res.write(FRAME);
				else responses[Number(event.uri.slice("docs://".length))]?.write(FRAME);
			},
		},
		serve(req: IncomingMessage, res: ServerResponse): void {
			req.resume();
			responses.push(res);
			res.writeHead(200, { "content-type": "text/event-stream" }).write(FRAME);
		},
	};
}

async function makeServing(kind: string) {
	if (kind === "sdk") {
		const handler = createMcpHandler(buildServer, options);
		return { bus: handler.bus, serve: sdkNodeHandler(handler) };
	}
	const fanout = await createFanout({ local: {} });
	const handler = createFleetHandler(createMcpHandler(buildServer, { ...options, bus: fanout.bus() }), { fanout });
	return { bus: handler.bus, serve: (kind === "fleet" ? toNodeHandler : sdkNodeHandler)(handler) };
}

const kind = process.argv[2] ?? "fleet";
const { bus, serve } = kind === "bare" ? createBare() : await makeServing(kind);
let listens = 0;

async function obey(order: McpOrder): Promise<void> {
	if (order.do === "measure") return;
	if (order.do === "collect") {
		(globalThis as { gc?(): void }).gc?.();
		return;
	}
	for (let n = 0; n < order.events; n += 1) {
		if (order.do === "everyone") {
			bus.publish({ kind: "tools_list_changed" });
			await sleep(EVERYONE_MS);
			continue;
		}
		if (order.do === "wait") {
			await sleep(1_000 / order.perSecond);
			continue;
		}
		// A prime's steps: neighbours in time are no neighbours in memory.
		const id = order.do === "flood" ? n % 100 : (n * 7_919) % listens;
		bus.publish({ kind: "resource_updated", uri: `docs://${id}` });
		if (order.do === "targeted" && order.perSecond !== undefined) await sleep(1_000 / order.perSecond);
		else if (n % TURN === TURN - 1) await nextTurn();
	}
}

process.on("message", async (order: McpOrder) => {
	await obey(order);
	const memory = order.do === "measure" ? await collected() : { rss: 0, heap: 0 };
	const { user, system } = process.cpuUsage();
	process.send?.({ ...memory, cpu: user + system, listens });
});
process.on("disconnect", () => process.exit(0));
const server = createServer((req, res) => {
	const { method = "GET", url = "/" } = req;
	listens += 1;
	res.on("close", () => {
		listens -= 1;
	});
	void serve(Object.assign(req, { method, url }), res);
});
server.listen(0, "127.0.0.1", () => process.send?.((server.address() as AddressInfo).port));
