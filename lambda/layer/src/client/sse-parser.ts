/**
 * Server-sent events out of a stream of text. Source: the HTML standard, section 9.2.6. An event without data is
 * handed on as well (it may still carry an id), which browsers' EventSource does not.
 */
export interface SseEvent {
	readonly event: string;
	readonly data: string | undefined;
	/** The last id so far, this event's included. */
	readonly id: string | undefined;
}

/** Longest event that is kept while it is not complete. */
export const MAX_SSE_EVENT_CHARS = 1024 * 1024;

export interface SseParser {
	/** Throws when an event grows over MAX_SSE_EVENT_CHARS. */
	push(chunk: string): SseEvent[];
	/** As the server asked by `retry`. */
	readonly retryMs: number | undefined;
}

export function createSseParser(lastId: string | undefined): SseParser {
	let rest = "";
	let endedInCr = false;
	let event = "";
	let data: string[] = [];
	let size = 0;
	let id = lastId;
	let retryMs: number | undefined;

	const line = (text: string, out: SseEvent[]) => {
		if (text === "") {
			if (event !== "" || data.length > 0 || id !== undefined) {
				out.push({ event: event || "message", data: data.length > 0 ? data.join("\n") : undefined, id });
			}
			event = "";
			data = [];
			size = 0;
			return;
		}
		const colon = text.indexOf(":");
		if (colon === 0) return;
		const field = colon < 0 ? text : text.slice(0, colon);
		const value = colon < 0 ? "" : text.slice(colon + (text[colon + 1] === " " ? 2 : 1));
		if (field === "event") event = value;
		else if (field === "data") {
			data.push(value);
			// With its line: lines without text are kept as well.
			size += value.length + 1;
		} else if (field === "id" && !value.includes("\0")) id = value;
		else if (field === "retry" && /^\d{1,9}$/.test(value)) retryMs = Number(value);
	};

	return {
		get retryMs() {
			return retryMs;
		},
		push(chunk) {
			const out: SseEvent[] = [];
			let text = rest + chunk;
			// A CR at the end of one chunk and the LF at the start of the next are one line's end.
			if (endedInCr && text.startsWith("\n")) text = text.slice(1);
			if (chunk !== "") endedInCr = text.endsWith("\r");
			const lines = text.split(/\r\n|\n|\r/);
			rest = lines.pop() ?? "";
			for (const each of lines) line(each, out);
			if (rest.length + size > MAX_SSE_EVENT_CHARS) {
				throw new Error(`a server-sent event is over ${MAX_SSE_EVENT_CHARS} characters`);
			}
			return out;
		},
	};
}
