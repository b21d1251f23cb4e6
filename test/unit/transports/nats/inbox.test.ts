import { expect, test } from "vitest";
import { createFakeClock } from "../../../../lambda/layer/src/testing/fake-clock.ts";
import { createApi } from "../../../../lambda/layer/src/transports/nats/api.ts";
import type { Msg, NatsConnection } from "../../../../lambda/layer/src/transports/nats/client.ts";
import { createInbox } from "../../../../lambda/layer/src/transports/nats/inbox.ts";

/** A connection whose other end is the test. */
function world() {
	const clock = createFakeClock();
	const replies: string[] = [];
	let answer: (error: null, msg: Msg) => void = () => {};
	let isClosed = false;
	const nc = {
		subscribe(_subject: string, { callback }: { callback: typeof answer }) {
			answer = callback;
			return { unsubscribe() {} };
		},
		publish(_subject: string, _payload: string, { reply }: { reply: string }) {
			if (isClosed) throw new Error("closed connection");
			replies.push(reply);
		},
		isClosed: () => isClosed,
	};
	const inbox = createInbox(nc as unknown as NatsConnection, "_INBOX.x", clock);
	const api = createApi(inbox, undefined, { timeoutMs: 1_000, createTimeoutMs: 1_000 });
	return {
		...{ clock, inbox, api },
		close() {
			isClosed = true;
		},
		say(text: string, code?: number) {
			const headers = code === undefined ? undefined : { code };
			const subject = replies.shift() ?? "";
			answer(null, { subject, data: Buffer.from(text), string: () => text, headers } as unknown as Msg);
		},
	};
}

test("[P7] each question has its own answer, whatever the order; then nobody waits, and no timer stays", async () => {
	const { clock, inbox, api, say } = world();
	const [one, two] = [api.info("one"), api.last("two", "s")];
	expect(inbox.waiting).toBe(2);
	say('{"config":{"name":"one"}}');
	say('{"message":{"seq":7}}');
	expect([(await one)?.config.name, (await two)?.seq, inbox.waiting]).toEqual(["one", 7, 0]);
	await clock.advance(100);
	expect(clock.waiting).toBe(0);
});

test("[P7] no answer, nobody there, a refusal, no JSON, a lost and a closed connection are errors that say so", async () => {
	const { clock, inbox, api, say, close } = world();
	const codeOf = (asked: Promise<unknown>) => asked.then(String, (error) => [error.code, error.retryable]);
	const silent = codeOf(api.info("a"));
	await clock.advance(1_100);
	expect(await silent).toEqual(["DeadlineExceeded", true]);
	for (const [text, status, expected] of [
		["", 503, ["TransportUnavailable", true]],
		['{"error":{"code":503,"err_code":10008}}', undefined, ["TransportRefused", true]],
		["{", undefined, ["TransportRefused", false]],
	] as const) {
		const { api: own, say: reply } = world();
		const asked = codeOf(own.info("a"));
		reply(text, status);
		expect(await asked).toEqual(expected);
	}
	const lost = codeOf(api.info("a"));
	inbox.failAll("disconnected");
	expect(await lost).toEqual(["TransportUnavailable", true]);
	close();
	expect(await api.info("a").catch(({ code, cause }) => [code, cause.message])).toEqual([
		"Closed",
		"closed connection",
	]);
	expect(inbox.waiting).toBe(0);
	say("late");
});
