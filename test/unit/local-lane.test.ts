/** A log of this process beside one that a fleet shares: client streams follow it only where an envelope may enter it. */
import { afterEach, expect, test } from "vitest";
import { createFanout, type Fanout } from "../../lambda/layer/src/fanout.ts";
import type { RoutingRule } from "../../lambda/layer/src/route/options.ts";
import { FakeBroker } from "../../lambda/layer/src/testing/fake-broker.ts";
import { createFakeTransport } from "../../lambda/layer/src/testing/fake-transport.ts";
import { createRandom } from "../support/random.ts";
import { follow, numbers } from "./mcp/session/raw.ts";

const open: Fanout[] = [];
afterEach(() => Promise.all(open.splice(0).map((fanout) => fanout.close())));

const ALONE: RoutingRule = { condition: { type: "local/*" }, targets: ["local"] };

async function fleet(size: number, rules: readonly RoutingRule[] = []) {
	const broker = new FakeBroker(createRandom(5).next);
	const fanouts = await Promise.all(
		Array.from({ length: size }, () =>
			createFanout({
				local: {},
				transports: [createFakeTransport(broker, { name: "wide" })],
				routing: { rules },
				timeoutMs: 200,
			}),
		),
	);
	open.push(...fanouts);
	return { broker, fanouts: fanouts as [Fanout, ...Fanout[]] };
}

const listen = (fanout: Fanout | undefined, lastEventId?: string) => {
	const headers = lastEventId === undefined ? {} : { "last-event-id": lastEventId };
	return follow((fanout as Fanout).response(new Request("http://localhost/", { headers }), { session: "s" }));
};
const send = (fanout: Fanout | undefined, n: number, method = "fleet/note") =>
	(fanout as Fanout).to({ session: "s" }).send({ method, params: { data: n } });
const cursorOf = ({ frames }: ReturnType<typeof listen>) => frames.findLast(({ id }) => id !== undefined)?.id;
const marks = ({ frames }: ReturnType<typeof listen>) => frames.filter(({ event }) => event === "mark");

test("[P3] whoever comes back to another process is told of no loss: nothing could have entered a log that was left behind", async () => {
	const { fanouts } = await fleet(2);
	const first = listen(fanouts[0]);
	await expect.poll(() => first.frames.length).toBeGreaterThan(0);
	await send(fanouts[1], 1);
	await expect.poll(() => numbers(first)).toEqual([1]);
	await first.cancel();
	await send(fanouts[0], 2);
	const second = listen(fanouts[1], cursorOf(first));
	await send(fanouts[0], 3);
	await expect.poll(() => numbers(second)).toEqual([2, 3]);
	expect(marks(second)).toEqual([]);
});

test("[P3] where a rule names this process alone its lane is followed, and who leaves it is told", async () => {
	const { fanouts } = await fleet(2, [ALONE]);
	const first = listen(fanouts[0]);
	await expect.poll(() => first.frames.length).toBeGreaterThan(0);
	const receipt = await send(fanouts[0], 1, "local/note");
	expect(receipt.accepted).toMatchObject([{ lane: "local", reach: "process" }]);
	await send(fanouts[1], 2, "local/note");
	await send(fanouts[1], 3);
	await expect.poll(() => numbers(first)).toEqual([1, 3]);
	await first.cancel();
	const second = listen(fanouts[1], cursorOf(first));
	await expect.poll(() => marks(second)).toMatchObject([{ data: '{"reason":"gap"}' }]);
});

test("[P7] streams of this process get early copies also where its log is not followed, each once", async () => {
	const { broker, fanouts } = await fleet(1);
	const stream = listen(fanouts[0]);
	await expect.poll(() => stream.frames.length).toBeGreaterThan(0);
	broker.faults.refuse = 1;
	const sent = [0, 1, 2, 3, 4, 5, 6, 7];
	await Promise.all(sent.map((n) => send(fanouts[0], n)));
	await expect.poll(() => numbers(stream).toSorted()).toEqual(sent);
});
