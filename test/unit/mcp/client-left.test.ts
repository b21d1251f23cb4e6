/**
 * A client that leaves is noticed by its request's signal, also when nothing holds the Request any more: Node lets its
 * signal go with it, and the signal of the connection that it was made with reaches nobody.
 */
import { afterEach, expect, test } from "vitest";
import { collect } from "../../support/garbage.ts";
import { settle } from "../../support/settle.ts";
import { rawListen, startFleet } from "./fleet.ts";
import { post, startSessions, tool } from "./session/fleet.ts";
import { get, open } from "./session/raw.ts";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
	for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Long after the request came, its client is gone. */
async function left(client: AbortController, response: Response): Promise<void> {
	const reader = response.body?.getReader();
	const reading = (async () => {
		while ((await reader?.read())?.done === false);
	})().catch(() => {});
	for (let n = 0; n < 5; n += 1) {
		await settle(4);
		collect();
	}
	client.abort();
	await reading;
}

test("[P9] a client stream", async () => {
	const fleet = await startFleet(1);
	cleanups.push(() => fleet.stop());
	const [fanout] = fleet.fanouts;
	const client = new AbortController();
	await left(client, fanout?.response(new Request("http://x/", { signal: client.signal })) as Response);
	expect(fanout?.health().streams).toBe(0);
});

test("[P9] a listen", async () => {
	const fleet = await startFleet(1);
	cleanups.push(() => fleet.stop());
	const [handler] = fleet.handlers as [(typeof fleet.handlers)[number]];
	const client = new AbortController();
	const listening = await rawListen(handler, { toolsListChanged: true }, {}, 1, { signal: client.signal });
	expect(handler.listens).toBe(1);
	await left(client, listening);
	expect(handler.listens).toBe(0);
});

test("[P9] a session's GET, and the stream of a call", async () => {
	const fleet = await startSessions(1);
	cleanups.push(() => fleet.stop());
	const session = await open(fleet, 0);
	const answer = Promise.withResolvers<string>();
	fleet.tools.run = () => answer.promise;
	for (const init of [get(session), post(tool("run"), session)]) {
		const client = new AbortController();
		await left(client, await fleet.call(0, { ...init, signal: client.signal }));
	}
	expect(fleet.fanouts[0]?.health().streams).toBe(0);
	answer.resolve("");
});
