import { expect, test } from "vitest";
import type { Msg } from "../../../../lambda/layer/src/transports/nats/client.ts";
import { headerLines, headerOf } from "../../../../lambda/layer/src/transports/nats/headers.ts";

const SUBJECT = "live.a";
const LINES =
	"NATS/1.0\r\nNats-Sequence: 99\r\nFanout-Method: ping\r\nNats-Sequence: 7\r\nNats-Last-Sequence: 3\r\n\r\n";

/** As the client hands it over: a view into what the socket gave, the header in front of the data. */
function received(header: string, payload: string, more: object = {}): Msg {
	const chunk = Buffer.from(`HMSG ${SUBJECT} 1 9 9\r\n${header}${payload}\r\n`);
	const data = chunk.subarray(chunk.length - 2 - payload.length, chunk.length - 2);
	return { data, size: () => SUBJECT.length + header.length + payload.length, ...more } as unknown as Msg;
}

test("lines are read from in front of the data, and of several values the last: the server's own", () => {
	const lines = headerLines(received(LINES, "payload"), SUBJECT);
	expect(lines).toBe(LINES);
	expect(headerOf(lines, "Nats-Sequence")).toBe("7");
	expect(headerOf(lines, "Nats-Last-Sequence")).toBe("3");
	expect(headerOf(lines, "Sequence")).toBe("");
	expect(headerLines(received(LINES, ""), SUBJECT)).toBe(LINES);
});

test("where they are not there the client's own reader has them; a message without any has none", () => {
	const headers = { toString: () => LINES };
	expect(headerLines(received("", "NATS/1.0\r\n", { headers }), SUBJECT)).toBe(LINES);
	expect(headerLines(received(LINES, "payload", { headers, size: undefined }), SUBJECT)).toBe(LINES);
	expect(headerLines(received(LINES, "payload", { headers, size: () => 5_000 }), SUBJECT)).toBe(LINES);
	expect(headerLines(received("", "NATS/1.0\r\nNats-Sequence: 5\r\n\r\n"), SUBJECT)).toBe("");
});
