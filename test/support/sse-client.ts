/**
 * A client of server-sent events as the HTML standard reads them: fields, blank-line dispatch, the last event id that
 * a reconnect must send. `cut()` breaks the connection as a lost network does; `resume()` opens it again.
 */
export interface SseEvent {
	readonly type: string;
	readonly data: string;
	readonly id: string;
}

export interface SseClient {
	readonly lastEventId: string;
	/** Resolves when a connection stands: its first event was read. Never while one stands. */
	open(url?: string): Promise<void>;
	/** The same without a past, and only when the server says at once that it lacks nothing: loaded machines are slow. */
	openAnew(): Promise<void>;
	cut(): Promise<void>;
}

export interface SseClientOptions {
	readonly url: string;
	readonly headers: Readonly<Record<string, string>>;
	onEvent(event: SseEvent): void;
	/** The server ended the stream, or it broke. */
	onLost?(error: Error | undefined): void;
}

const OPEN_DEADLINE_MS = 15_000;
const OPEN_ATTEMPTS = 5;
/** A mark that belongs to the opening comes right behind the first event. */
const MARK_WAIT_MS = 100;

export function createSseClient(options: SseClientOptions): SseClient {
	let lastEventId = "";
	/** What an `id` line said; it counts when its event is dispatched, not before: a cut may come in between. */
	let idBuffer = "";
	let current: { readonly abort: AbortController; readonly done: Promise<void> } | undefined;

	let opening: { marked: boolean } | undefined;

	function tell(event: SseEvent): void {
		if (opening === undefined) options.onEvent(event);
		else if (event.type === "mark") opening.marked = true;
		else if (event.type !== "cursor") options.onEvent(event);
	}

	async function read(body: ReadableStream<Uint8Array>, first: () => void): Promise<void> {
		let text = "";
		let fields: { type: string; data: string[] } = { type: "", data: [] };
		const decoder = new TextDecoder();
		for await (const chunk of body) {
			text += decoder.decode(chunk, { stream: true });
			const lines = text.split(/\r\n|\n/);
			text = lines.pop() ?? "";
			for (const line of lines) {
				if (line !== "") {
					takeField(line, fields);
					continue;
				}
				// As the standard has it: the id counts now, and without a data line nothing is dispatched.
				lastEventId = idBuffer;
				if (fields.data.length > 0) {
					tell({ type: fields.type || "message", data: fields.data.join("\n"), id: lastEventId });
					first();
				}
				fields = { type: "", data: [] };
			}
		}
	}

	function takeField(line: string, fields: { type: string; data: string[] }): void {
		const [name, value] = splitField(line);
		if (name === "data") fields.data.push(value);
		else if (name === "event") fields.type = value;
		else if (name === "id" && !value.includes("\0")) idBuffer = value;
	}

	const client: SseClient = {
		get lastEventId() {
			return lastEventId;
		},
		async open(url = options.url) {
			if (current !== undefined) throw new Error("the client is connected already");
			idBuffer = lastEventId;
			const abort = new AbortController();
			const timer = setTimeout(() => abort.abort(new Error("the stream did not open")), OPEN_DEADLINE_MS);
			const headers = { ...options.headers, Accept: "text/event-stream" };
			const resume: Record<string, string> = lastEventId === "" ? {} : { "Last-Event-ID": lastEventId };
			try {
				const response = await fetch(url, { headers: { ...headers, ...resume }, signal: abort.signal });
				if (!response.ok || response.body === null) throw new Error(`GET ${url} was answered ${response.status}`);
				const body = response.body;
				await new Promise<void>((resolve, reject) => {
					const done = read(body, resolve)
						.then(
							() => options.onLost?.(undefined),
							(error: Error) => {
								if (!abort.signal.aborted) options.onLost?.(error);
							},
						)
						.finally(() => {
							if (current?.abort === abort) current = undefined;
							reject(new Error("the stream ended before its first event"));
						});
					current = { abort, done };
				});
			} finally {
				clearTimeout(timer);
			}
		},
		async openAnew() {
			for (let attempt = 0; attempt < OPEN_ATTEMPTS; attempt += 1) {
				lastEventId = "";
				opening = { marked: false };
				await client.open();
				await new Promise((resolve) => setTimeout(resolve, MARK_WAIT_MS));
				const { marked } = opening;
				opening = undefined;
				if (!marked) return;
				await client.cut();
			}
			throw new Error(`GET ${options.url} did not open whole in ${OPEN_ATTEMPTS} attempts`);
		},
		async cut() {
			const { abort, done } = current ?? {};
			current = undefined;
			abort?.abort();
			await done;
		},
	};
	return client;
}

function splitField(line: string): [name: string, value: string] {
	const colon = line.indexOf(":");
	if (colon < 0) return [line, ""];
	const value = line.slice(colon + 1);
	return [line.slice(0, colon), value.startsWith(" ") ? value.slice(1) : value];
}
