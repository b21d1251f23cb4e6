/**
 * Many 2026-07-28 listens on one node:http server: on the SDK's own in-memory bus; through the fleet handler and a
 * whole fanout, publish to frame; or on a bus that costs nothing, since it knows beforehand who is meant: what is left
 * then is what the SDK, Node and the kernel take for one frame. Driven by its parent over IPC.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { toNodeHandler } from "@modelcontextprotocol/node";
import { createMcpHandler, McpServer, type ServerEvent, type ServerEventBus } from "@modelcontextprotocol/server";
import { createFanout } from "../../lambda/layer/src/fanout.ts";
import { createFleetHandler } from "../../lambda/layer/src/mcp/index.ts";
import { collected } from "./memory.ts";

export type McpOrder =
	| { readonly do: "measure" }
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

/** Listens are opened in the order of their resources' numbers. */
function createFreeBus(): ServerEventBus {
	const listeners: ((event: ServerEvent) => void)[] = [];
	const left = () => {};
	return {
		publish(event) {
			if (event.kind === "resource_updated") listeners[Number(event.uri.slice("docs://".length))]?.(event);
			else for (const listener of listeners) listener(event);
		},
		subscribe: (listener) => {
			listeners.push(listener);
			return left;
		},
	};
}

async function makeHandler(kind: string) {
	if (kind === "sdk") return createMcpHandler(buildServer, options);
	if (kind === "free") return createMcpHandler(buildServer, { ...options, bus: createFreeBus() });
	const fanout = await createFanout({ local: {} });
	return createFleetHandler(createMcpHandler(buildServer, { ...options, bus: fanout.bus() }), { fanout });
}

const handler = await makeHandler(process.argv[2] ?? "fleet");
let listens = 0;

async function obey(order: McpOrder): Promise<void> {
	if (order.do === "measure") return;
	for (let n = 0; n < order.events; n += 1) {
		if (order.do === "everyone") {
			handler.bus.publish({ kind: "tools_list_changed" });
			await sleep(EVERYONE_MS);
			continue;
		}
		if (order.do === "wait") {
			await sleep(1_000 / order.perSecond);
			continue;
		}
		// A prime's steps: neighbours in time are no neighbours in memory.
		const id = order.do === "flood" ? n % 100 : (n * 7_919) % listens;
		handler.bus.publish({ kind: "resource_updated", uri: `docs://${id}` });
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
const serve = toNodeHandler(handler);
const server = createServer((req, res) => {
	const { method = "GET", url = "/" } = req;
	listens += 1;
	res.on("close", () => {
		listens -= 1;
	});
	serve(Object.assign(req, { method, url }), res);
});
server.listen(0, "127.0.0.1", () => process.send?.((server.address() as AddressInfo).port));
