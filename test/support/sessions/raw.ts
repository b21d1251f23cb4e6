/** One user's requests to one process, as bytes: for what a client library hides. */
import { hello, post, tool } from "../../unit/mcp/session/fleet.ts";
import { follow, get, remove, type Stream } from "../../unit/mcp/session/raw.ts";
import type { McpProcess } from "../mcp-fleet.ts";

export interface Answer {
	readonly status: number;
	readonly text: string;
	readonly headers: Headers;
	/** How long it took. */
	readonly ms: number;
}

export interface Caller {
	send(init: RequestInit): Promise<Answer>;
	/** The id of a new session. */
	open(): Promise<string>;
	call(session: string, name: string, args?: object): Promise<Answer>;
	remove(session: string): Promise<Answer>;
	listen(session: string, lastEventId?: string): Promise<Stream>;
}

/** The most that an answer may take: a test that waits longer has found a request that hangs. */
const ANSWER_MS = 15_000;
let calls = 10;

export function callerOf({ url }: McpProcess, headers: Readonly<Record<string, string>> = {}): Caller {
	const request = (init: RequestInit, signal?: AbortSignal) =>
		fetch(`${url}/mcp`, { ...init, headers: { ...(init.headers as object), ...headers }, ...(signal && { signal }) });
	async function send(init: RequestInit): Promise<Answer> {
		const from = performance.now();
		const response = await request(init, AbortSignal.timeout(ANSWER_MS));
		const text = await response.text();
		return { status: response.status, text, headers: response.headers, ms: performance.now() - from };
	}
	return {
		send,
		async open() {
			const { headers: answered, status, text } = await send(hello());
			const session = answered.get("mcp-session-id");
			if (session === null) throw new Error(`no session: ${status} ${text}`);
			await send(post({ jsonrpc: "2.0", method: "notifications/initialized" }, session));
			return session;
		},
		call(session, name, args = {}) {
			calls += 1;
			return send(post(tool(name, calls, args), session));
		},
		remove: (session) => send(remove(session)),
		async listen(session, lastEventId) {
			const gaveUp = new AbortController();
			const timer = setTimeout(() => gaveUp.abort(), ANSWER_MS);
			const response = await request(get(session, lastEventId), gaveUp.signal);
			clearTimeout(timer);
			return follow(response);
		},
	};
}

/** A fault is in the factory of this process from now on; `none` ends it. */
export async function setFault({ url }: McpProcess, fault: "throws" | "rejects" | "none"): Promise<void> {
	await fetch(`${url}/factory/${fault}`);
}

/** The numbers that a stream has heard, in the order of coming. */
export const heardBy = ({ messages }: Stream): unknown[] =>
	messages
		.map(({ params }) => params?._meta as { n?: unknown } | undefined)
		.filter((meta) => meta?.n !== undefined)
		.map((meta) => meta?.n);
