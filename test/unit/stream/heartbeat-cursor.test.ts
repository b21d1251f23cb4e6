/** Who comes back with the last cursor, from long after anything was shown, is told of no loss that was none. */
import { afterEach, expect, test } from "vitest";
import { createChannel } from "../../../lambda/layer/src/core/channel.ts";
import { createFanout, type Fanout } from "../../../lambda/layer/src/fanout.ts";
import { FakeBroker } from "../../../lambda/layer/src/testing/fake-broker.ts";
import { createFakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";
import { createFakeTransport } from "../../../lambda/layer/src/testing/fake-transport.ts";
import { createRandom } from "../../support/random.ts";

const RETENTION_MS = 1_200_000;
/** Until the lanes of a stream that has left are closed. */
const LINGER_MS = 15_000;

const open: Fanout[] = [];
afterEach(async () => {
	await Promise.all(open.splice(0).map((fanout) => fanout.close()));
});

async function world(...names: readonly string[]) {
	const clock = createFakeClock();
	const brokers = names.map((_, seed) => new FakeBroker(createRandom(seed).next));
	const transports = brokers.map((broker, index) =>
		createFakeTransport(broker, { name: names[index] as string, capabilities: { retentionMs: RETENTION_MS } }),
	);
	const fanout = await createFanout({ clock, transports });
	open.push(fanout);
	const read = (lastEventId?: string) => {
		const gone = new AbortController();
		/** Its stream hears of it in a turn of its own, and until then of all else. */
		const leave = async () => {
			gone.abort();
			while (fanout.health().streams > 0) await clock.advance(1);
		};
		const heard = { text: "", leave };
		const { body } = fanout.response(new Request("http://x/", { signal: gone.signal }), { lastEventId, session: "s" });
		(async () => {
			const decoder = new TextDecoder();
			for await (const chunk of body ?? []) heard.text += decoder.decode(chunk);
		})().catch(() => {});
		return heard;
	};
	const send = (n: number) => fanout.to({ session: "s" }).send({ method: "notifications/message", params: { n } });
	/** The text arrives in turns of its own. */
	const arrived = async (heard: { readonly text: string }, part: string) => {
		while (!heard.text.includes(part)) await clock.advance(1);
	};
	return { clock, brokers, read, send, arrived };
}

const lastCursor = ({ text }: { readonly text: string }) => [...text.matchAll(/^id: (.+)$/gm)].at(-1)?.[1];

test("[P3] after the logs of both its lanes have forgotten what it was shown of one", async () => {
	const { clock, brokers, read, send, arrived } = await world("a", "b");
	const first = read();
	await arrived(first, "event: cursor");
	for (const n of [1, 2]) await send(n);
	await arrived(first, '"n":2');
	await clock.advance(15_000);
	await arrived(first, ": hb");
	await first.leave();
	await clock.advance(LINGER_MS);
	for (const broker of brokers) broker.truncate(createChannel("session", "s"), 2);
	const second = read(lastCursor(first));
	await arrived(second, "event: cursor");
	await send(3);
	await arrived(second, '"n":3');
	expect(second.text).not.toContain("event: mark");
});

test("[P3] after it was open for longer than a log keeps anything, and nothing was there", async () => {
	const { clock, read, send, arrived } = await world("a");
	const first = read();
	await arrived(first, "event: cursor");
	await clock.advance(RETENTION_MS + 300_000);
	await first.leave();
	await clock.advance(LINGER_MS);
	await send(1);
	const second = read(lastCursor(first));
	await arrived(second, '"n":1');
	expect(second.text).not.toContain("event: mark");
});
