/** Many sessions as bytes: opened at one process, each with a GET stream there. */
const HEADERS = { "content-type": "application/json", accept: "application/json, text/event-stream" };
const CLIENT = { name: "crowd", version: "1.0.0" };
const HELLO = {
	jsonrpc: "2.0",
	id: 1,
	method: "initialize",
	params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: CLIENT },
};

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
	const sessions = await Promise.all(
		Array.from({ length: size }, async () => {
			const opened = await post(url, HELLO);
			await opened.text();
			return opened.headers.get("mcp-session-id") ?? "";
		}),
	);
	await Promise.all(sessions.map((session) => get(url, session)));
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
