/** Many sessions as bytes: opened at one process, each with a GET stream there. */
const HEADERS = { "content-type": "application/json", accept: "application/json, text/event-stream" };
const CLIENT = { name: "crowd", version: "1.0.0" };
const HELLO = {
	jsonrpc: "2.0",
	id: 1,
	method: "initialize",
	params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: CLIENT },
};

const AT_ONCE = 50;

export interface Crowd {
	/** Every session at once, at the process that `urlOf` names: the statuses of its GET and of a request. */
	comeTo(urlOf: (n: number) => string): Promise<[number, number][]>;
	leave(): void;
}

export async function gather(url: string, size: number): Promise<Crowd> {
	const gone = new AbortController();
	const { signal } = gone;
	const get = (at: string, session: string) =>
		fetch(`${at}/mcp`, { headers: { accept: "text/event-stream", "mcp-session-id": session }, signal });
	const post = (at: string, body: object, session?: string) => {
		const headers = session === undefined ? HEADERS : { ...HEADERS, "mcp-session-id": session };
		return fetch(`${at}/mcp`, { method: "POST", headers, body: JSON.stringify(body), signal });
	};
	const sessions: string[] = [];
	// They come back at once, not first: a busy machine would refuse some of those for now.
	while (sessions.length < size) {
		const some = await Promise.all(
			Array.from({ length: Math.min(AT_ONCE, size - sessions.length) }, async () => {
				const opened = await post(url, HELLO);
				const session = opened.headers.get("mcp-session-id");
				const text = await opened.text();
				if (session === null) throw new Error(`no session was opened: ${opened.status} ${text}`);
				const { status } = await get(url, session);
				if (status !== 200) throw new Error(`no stream of a session was opened: ${status}`);
				return session;
			}),
		);
		sessions.push(...some);
	}
	return {
		comeTo: (urlOf) =>
			Promise.all(
				sessions.map(async (session, n): Promise<[number, number]> => {
					const stream = await get(urlOf(n), session);
					const answer = await post(urlOf(n), { jsonrpc: "2.0", id: 2, method: "ping" }, session);
					await answer.text();
					return [stream.status, answer.status];
				}),
			),
		leave: () => gone.abort(),
	};
}
