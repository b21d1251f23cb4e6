/**
 * The demo's real clients of one region: an MCP client that listens (official SDK), a reader of server-sent events, and
 * a WebSocket client with a ticket. Each resolves when it stands, and tells what it hears to the tally.
 */
import { connect } from "mcp-fanout/client";
import type { Site } from "../support/fleet.ts";
import { listenMcp } from "../support/mcp-client.ts";
import { createSseClient } from "../support/sse-client.ts";
import type { ClientKind, Listener, Tally } from "./tally.ts";

export const BOARD = "demo://board";
export const ALL = "all";
const OPEN_DEADLINE_MS = 20_000;

export interface OpenClient {
	readonly listener: Listener;
	close(): Promise<void>;
}

export function sessionOf(site: Site): string {
	return `demo-${site.cell.region}`;
}

export async function openClients(site: Site, tally: Tally): Promise<OpenClient[]> {
	return Promise.all([openMcp(site, tally), openSse(site, tally), openSocket(site, tally)]);
}

function listenerOf(kind: ClientKind, site: Site, channels: readonly string[]): Listener {
	return { id: `${kind} ${site.cell.region}`, kind, region: site.cell.region, channels };
}

function authorization(site: Site): { Authorization: string } {
	return { Authorization: `Bearer user-${site.cell.region}.${sessionOf(site)}` };
}

async function openMcp(site: Site, tally: Tally): Promise<OpenClient> {
	const listener = listenerOf("mcp", site, [ALL]);
	const client = await listenMcp(`${site.url}/mcp`, [BOARD], ({ meta }) => {
		tally.received(listener, String(meta["example/note"]));
	});
	tally.listener(listener);
	return { listener, close: () => client.close() };
}

async function openSse(site: Site, tally: Tally): Promise<OpenClient> {
	const listener = listenerOf("sse", site, [ALL, sessionOf(site)]);
	const client = createSseClient({
		url: `${site.url}/events`,
		headers: authorization(site),
		onEvent({ type, data }) {
			if (type === "message") tally.received(listener, noteOf(JSON.parse(data)));
			else if (type !== "cursor") tally.told(listener, data);
		},
		onLost: (error) => tally.told(listener, `lost: ${error?.message ?? "ended"}`),
	});
	tally.listener(listener);
	await client.openAnew();
	return { listener, close: () => client.cut() };
}

async function openSocket(site: Site, tally: Tally): Promise<OpenClient> {
	const listener = listenerOf("ws", site, [ALL, sessionOf(site)]);
	const ask = async (): Promise<{ url: string; ticket: string; channels: string[] }> => {
		const answer = await fetch(`${site.url}/ticket`, { method: "POST", headers: authorization(site) });
		if (!answer.ok) throw new Error(`POST /ticket was answered ${answer.status}`);
		return (await answer.json()) as { url: string; ticket: string; channels: string[] };
	};
	const { url, channels } = await ask();
	return new Promise((resolve, reject) => {
		const timer = setTimeout(() => {
			connection.close();
			reject(new Error(`the WebSocket client of ${site.cell.region} did not open within ${OPEN_DEADLINE_MS} ms`));
		}, OPEN_DEADLINE_MS);
		const connection = connect(url, {
			ticket: async () => (await ask()).ticket,
			channels,
			onMessage: ({ message }) => tally.received(listener, noteOf(message)),
			onEvent(event) {
				if (event.type === "missing" || event.type === "ended") tally.told(listener, event.reason);
				if (event.type !== "open") return;
				clearTimeout(timer);
				tally.listener(listener);
				resolve({ listener, close: async () => connection.close() });
			},
		});
	});
}

/** The note in a change notification's `_meta`, or in a log message's data. */
function noteOf(message: { params?: { data?: unknown; _meta?: Record<string, unknown> } }): string {
	return String(message.params?._meta?.["example/note"] ?? message.params?.data);
}
