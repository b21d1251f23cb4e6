/**
 * A process for reload.test.ts: publishes in order to a session whose stream it reads, and says what it hears of reloads,
 * one JSON line each. A line on its input ends it, with what came through and what is left behind.
 */
import { subscribe } from "node:diagnostics_channel";
import { createFanout } from "mcp-fanout";

const say = (fact: object) => console.log(JSON.stringify(fact));
const fanout = await createFanout({
	config: process.argv[2] as string,
	onerror: (error) => say({ told: error.message }),
});
subscribe("mcp-fanout:reload", (event) => {
	const { outcome, error } = event as { outcome: string; error?: Error };
	say({ outcome, ...(error && { message: error.message }) });
});
const { body } = fanout.response(new Request("http://localhost/"), { session: "s" });
const got: number[] = [];
let marks = 0;
(async () => {
	for await (const chunk of body?.pipeThrough(new TextDecoderStream()) ?? []) {
		for (const [, n] of chunk.matchAll(/"n":(\d+)/g)) got.push(Number(n));
		if (/event: mark/.test(chunk)) marks += 1;
	}
})().catch(() => {});

let sent = 0;
let failed = 0;
const load = setInterval(() => {
	for (let at = 0; at < 20; at += 1) {
		sent += 1;
		const message = { method: "notifications/message", params: { n: sent } };
		fanout
			.to({ session: "s" })
			.send(message)
			.catch(() => {
				failed += 1;
			});
	}
}, 5);
say({ ready: true, listeners: process.listenerCount("SIGHUP") });
process.stdin.once("data", async () => {
	clearInterval(load);
	await fanout.flush();
	const inOrder = got.every((n, index) => n === index + 1);
	const { streams } = fanout.health();
	await fanout.close();
	say({ sent, failed, got: got.length, inOrder, marks, streams, listeners: process.listenerCount("SIGHUP") });
	process.stdin.destroy();
});
