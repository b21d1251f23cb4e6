/** Sessions as bytes: for what a client library hides. */

import type { FetchExtra } from "../../../../lambda/layer/src/mcp/index.ts";
import { hello, post, type SessionFleet, tool } from "./fleet.ts";

export interface Frame {
	readonly id?: string;
	readonly event?: string;
	readonly data?: string;
}

export interface Stream {
	readonly status: number;
	readonly headers: Headers;
	readonly frames: Frame[];
	/** Messages in the order of coming. */
	readonly messages: {
		method?: string;
		id?: unknown;
		params?: Record<string, unknown>;
		result?: unknown;
		error?: { code: number };
	}[];
	readonly ended: Promise<void>;
	isEnded: boolean;
	retry: string | undefined;
	cancel(): Promise<void>;
}

/** Opens an SSE answer and goes on reading it. */
export function follow(response: Response): Stream {
	const frames: Frame[] = [];
	const messages: Stream["messages"] = [];
	const reader = response.body?.getReader();
	let text = "";
	const take = (block: string) => {
		const frame: Record<string, string> = {};
		for (const line of block.split("\n")) {
			const at = line.indexOf(":");
			if (at > 0) frame[line.slice(0, at)] = line.slice(at + 1).trimStart();
			if (line.startsWith("retry:")) stream.retry = frame.retry;
		}
		if (frame.data === undefined) return;
		frames.push(frame);
		if (frame.data !== "" && (frame.event ?? "message") === "message") messages.push(JSON.parse(frame.data));
	};
	const read = async (): Promise<void> => {
		for (;;) {
			const got = await reader?.read();
			if (got === undefined || got.done) break;
			text += Buffer.from(got.value).toString();
			const blocks = text.split("\n\n");
			text = blocks.pop() ?? "";
			for (const block of blocks) take(block);
		}
		stream.isEnded = true;
	};
	const stream: Stream = {
		status: response.status,
		headers: response.headers,
		frames,
		messages,
		ended: Promise.resolve(),
		isEnded: false,
		retry: undefined,
		cancel: async () => void (await reader?.cancel()),
	};
	return Object.assign(stream, {
		ended: read().catch(() => {
			stream.isEnded = true;
		}),
	});
}

export async function open(fleet: SessionFleet, place: number, version?: string, extra?: FetchExtra): Promise<string> {
	const response = await fleet.call(place, hello(version), extra);
	const session = response.headers.get("mcp-session-id");
	if (session === null) throw new Error(`no session: ${response.status} ${await response.text()}`);
	await response.text();
	await fleet.call(place, post({ jsonrpc: "2.0", method: "notifications/initialized" }, session), extra);
	return session;
}

export function get(
	session: string | undefined,
	lastEventId?: string,
	headers: Record<string, string> = {},
): RequestInit {
	const known = session === undefined ? {} : { "mcp-session-id": session };
	const resumed = lastEventId === undefined ? {} : { "last-event-id": lastEventId };
	return { method: "GET", headers: { accept: "text/event-stream", ...known, ...resumed, ...headers } };
}

export const remove = (session: string): RequestInit => ({ method: "DELETE", headers: { "mcp-session-id": session } });

export async function callTool(fleet: SessionFleet, place: number, session: string, name: string, extra?: FetchExtra) {
	const response = await fleet.call(place, post(tool(name), session), extra);
	return { status: response.status, body: await response.text() };
}

export const note = (n: number) => ({ method: "notifications/message", params: { level: "info", data: n } });
export const numbers = (stream: Stream): unknown[] => stream.messages.map(({ params }) => params?.data);
