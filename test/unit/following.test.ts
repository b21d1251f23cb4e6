/** A fanout that follows only while it is held: what stands during a hold, and that nothing does outside of one. */
import { afterEach, describe, expect, it } from "vitest";
import { resolveOptions } from "../../lambda/layer/src/config/options.ts";
import { FanoutError } from "../../lambda/layer/src/core/errors.ts";
import type { Transport } from "../../lambda/layer/src/core/transport.ts";
import { createFanout, type Fanout } from "../../lambda/layer/src/fanout.ts";
import { createFollowing, type FollowingDeps } from "../../lambda/layer/src/following.ts";
import { FakeBroker } from "../../lambda/layer/src/testing/fake-broker.ts";
import { createFakeTransport } from "../../lambda/layer/src/testing/fake-transport.ts";
import { createFakeClock } from "../../lambda/layer/src/testing/index.ts";
import { createRandom } from "../support/random.ts";

const open: Fanout[] = [];
afterEach(async () => {
	await Promise.all(open.splice(0).map((fanout) => fanout.close()));
});

async function heldFanout() {
	const broker = new FakeBroker(createRandom(3).next);
	const fanout = await createFanout({ transports: [createFakeTransport(broker)], follow: "held" });
	open.push(fanout);
	return { broker, fanout };
}

const streamOf = (fanout: Fanout) => fanout.response(new Request("http://localhost/events"), { topics: ["t"] });

describe("a fanout that follows only while it is held", () => {
	it("follows nothing before, streams during a hold, and nothing after", async () => {
		const { broker, fanout } = await heldFanout();
		await fanout.notify.toolsChanged();
		expect([broker.subscriptions, fanout.health().lanes]).toEqual([0, 0]);
		expect(() => streamOf(fanout)).toThrow("only while it is held");

		const hold = await fanout.hold();
		const reader = (streamOf(fanout).body as ReadableStream<Uint8Array>).getReader();
		let text = "";
		const until = async (part: string) => {
			while (!text.includes(part)) {
				const { done, value } = await reader.read();
				expect(done, text).toBe(false);
				text += Buffer.from(value as Uint8Array);
			}
		};
		await until("event: cursor");
		await fanout.to({ topic: "t" }).send({ method: "notifications/message", params: { n: 1 } });
		await until('"n":1');
		expect(broker.subscriptions).toBeGreaterThan(0);

		await hold.release();
		await hold.release();
		expect([broker.subscriptions, fanout.health().lanes, fanout.health().streams]).toEqual([0, 0, 0]);
		let rest = "";
		for (let read = await reader.read(); !read.done; read = await reader.read()) rest += Buffer.from(read.value);
		expect(rest).toContain('event: end\ndata: {"reason":"shutdown"}');
		await fanout.notify.toolsChanged();
	});

	it("has what a bus is told of standing before a hold is given, and refuses a subscription without one", async () => {
		const { broker, fanout } = await heldFanout();
		const bus = fanout.bus();
		expect(() => bus.subscribe(() => {})).toThrow(expect.objectContaining({ code: "Unsupported" }));
		for (const round of [1, 2]) {
			const hold = await fanout.hold();
			// What is for everyone of the tenant, and of every tenant.
			expect(broker.subscriptions, `round ${round}`).toBe(2);
			const heard: string[] = [];
			const leave = bus.subscribe(({ kind }) => void heard.push(kind));
			await fanout.notify.toolsChanged();
			expect(heard).toEqual(["tools_list_changed"]);
			await hold.release();
			leave();
			expect(broker.subscriptions).toBe(0);
		}
	});

	it("is followed until the last of several holds is released", async () => {
		const { broker, fanout } = await heldFanout();
		fanout.bus();
		const [first, second] = await Promise.all([fanout.hold(), fanout.hold()]);
		await first.release();
		expect(broker.subscriptions).toBe(2);
		const [third] = await Promise.all([fanout.hold(), second.release()]);
		expect(broker.subscriptions).toBe(2);
		await fanout.close();
		expect(broker.subscriptions).toBe(0);
		await third.release();
		await expect(fanout.hold()).rejects.toMatchObject({ code: "Closed" });
	});

	it("is the default inside Lambda; where following is off or always on, a hold says so", async () => {
		const lambda = { AWS_LAMBDA_FUNCTION_NAME: "any" };
		expect([resolveOptions({}, lambda).follow, resolveOptions({}, {}).follow]).toEqual(["held", true]);
		expect(() => resolveOptions({ follow: "always" as never }, {})).toThrow('follow must be true, false or "held"');
		const [off, on] = await Promise.all([createFanout({ local: {}, follow: false }), createFanout({ local: {} })]);
		open.push(off, on);
		await expect(off.hold()).rejects.toMatchObject({ code: "Unsupported" });
		const hold = await on.hold();
		await hold.release();
		expect(streamOf(on).status).toBe(200);
	});
});

describe("a follower of its own", () => {
	const setup = (starts: (() => Promise<void>)[]) => {
		const publishing = createFakeTransport(new FakeBroker(createRandom(3).next));
		const closed: Transport[] = [];
		const deps: FollowingDeps = {
			mode: "held",
			transports: [publishing],
			clock: createFakeClock(),
			random: () => 0,
			report: () => {},
			follower: async () => createFakeTransport(new FakeBroker(createRandom(4).next)),
			start: () => (starts.shift() as () => Promise<void>)(),
			close: async (transport) => void closed.push(transport),
			opened: async () => {},
			ended: async () => {},
		};
		return { following: createFollowing(deps), publishing, closed };
	};

	it("is started by a hold and closed by its release; the publisher's stays as it is", async () => {
		const { following, publishing, closed } = setup([async () => {}]);
		const hold = await following.hold();
		const [own] = following.transports;
		expect([following.engines.length, own === publishing]).toEqual([1, false]);
		await hold.release();
		expect([following.engines.length, following.transports.length, closed]).toEqual([0, 0, [own]]);
	});

	it("that does not start refuses the hold, is closed, and the next hold starts another", async () => {
		const failure = new FanoutError("TransportUnavailable", "no connection");
		const { following, closed } = setup([() => Promise.reject(failure), async () => {}]);
		await expect(following.hold()).rejects.toBe(failure);
		expect(closed).toHaveLength(1);
		expect(() => following.insist()).toThrow("only while it is held");
		const hold = await following.hold();
		expect(() => following.insist()).not.toThrow();
		await hold.release();
		expect(closed).toHaveLength(2);
	});
});
