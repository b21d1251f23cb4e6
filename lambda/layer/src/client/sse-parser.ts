/**
 * Server-sent events out of a stream of text. Source: the HTML standard, section 9.2.6. An event without data is
 * handed on as well (it may still carry an id), which browsers' EventSource does not.
 */
export interface SseEvent {
	readonly event: string;
	readonly data: string | undefined;
	/** The last id so far, this event's included. */
	readonly id: string | undefined;
	/** Its data was too long to keep: there is none. */
	readonly isTooLong?: true;
}

/** Longest data of an event that is kept while it is not complete, and longest line. */
export const MAX_SSE_EVENT_CHARS = 1024 * 1024;

export interface SseParser {
	/** Of an event that grows over MAX_SSE_EVENT_CHARS only its id and name are kept: to ask again would bring the same. */
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
	let isTooLong = false;
	let id = lastId;
	let retryMs: number | undefined;

	const drop = () => {
		isTooLong = true;
		data = [];
		size = 0;
	};

	const line = (text: string, out: SseEvent[]) => {
		if (text === "") {
			if (event !== "" || data.length > 0 || id !== undefined) {
				const read = { event: event || "message", data: data.length > 0 ? data.join("\n") : undefined, id };
				out.push(isTooLong ? { ...read, data: undefined, isTooLong } : read);
			}
			event = "";
			data = [];
			size = 0;
			isTooLong = false;
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
			if (size > MAX_SSE_EVENT_CHARS) drop();
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
				if (!rest.startsWith(":")) drop();
				// What follows is still of this line, which a comment begins now.
				rest = ":";
			}
			return out;
		},
	};
}
