/** Home regions of sessions on a real table, and what sync tells the followers of one that left. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createChannel } from "../../lambda/layer/src/core/channel.ts";
import type { Connection } from "../../lambda/layer/src/transports/aws/cell/connections.ts";
import type { Poster } from "../../lambda/layer/src/transports/aws/cell/poster.ts";
import { sync } from "../../lambda/layer/src/transports/aws/cell/sync.ts";
import { DEFAULT_HOME_SECONDS, homeOf } from "../../lambda/layer/src/transports/aws/home.ts";
import { decodeServerFrame } from "../../lambda/layer/src/transports/aws/wire.ts";
import { createCaller, REGION } from "./aws-cell-caller.ts";
import { named, postingOf } from "./aws-cell-mailroom.ts";
import { freshChannel, startWorld, type World } from "./aws-cell-world.ts";

let world: World;
beforeAll(async () => {
	world = await startWorld();
});
afterAll(() => world?.stop());

const { connect, ask } = createCaller(() => world);

describe("home regions", () => {
	const session = () => createChannel("session", randomUUID());

	it("[P8] are claimed by a subscribe, written once, and move to the region that claims last", async () => {
		const { key: channel } = session();
		const [us, eu] = [world.home(REGION), world.home("eu-west-1")];
		expect(await us.look(channel)).toBeUndefined();
		await ask(await connect("backend"), { action: "subscribe", ref: 1, channels: [channel] });
		expect(await eu.look(channel)).toMatchObject({ region: REGION, counter: 1 });
		expect(await us.claim(channel)).toMatchObject({ counter: 1 });
		expect(await eu.claim(channel)).toMatchObject({ region: "eu-west-1", counter: 2 });
		expect(await us.claim(channel)).toMatchObject({ region: REGION, counter: 3 });
		expect(await eu.resolve(channel)).toBe("eu-west-1"); // cached: it claimed a moment ago
		world.clock.advance(6_000);
		expect(await eu.resolve(channel)).toBe(REGION);
	});

	it("stay where they went when a connection of the old home subscribes again, which is told; a new one takes them", async () => {
		const [gone, mine, nobodys] = [session().key, session().key, session().key];
		const channels = [gone, mine, nobodys];
		const first = await connect("backend");
		await ask(first, { action: "subscribe", ref: 1, channels: [gone, mine] });
		await world.home("eu-west-1").claim(gone);
		const next = await connect("backend");
		const answer = await ask(next, { action: "subscribe", ref: 2, channels, again: true });
		if (answer.t !== "subscribed") throw new Error(answer.t);
		expect(answer.refused).toEqual([[gone, "moved"]]);
		expect(answer.ends.map(([key]) => key).sort()).toEqual([mine, nobodys].sort());
		expect((await world.followersOf(gone)).map(({ id }) => id)).toEqual([first.id]);
		const look = async (key: string) => (await world.home(REGION).look(key))?.region;
		expect([await look(gone), await look(mine), await look(nobodys)]).toEqual(["eu-west-1", REGION, REGION]);
		await ask(next, { action: "subscribe", ref: 3, channels: [gone] });
		expect(await look(gone)).toBe(REGION);
	});

	it("come along with a client that stood in the region where they were, and not with one that stood here", async () => {
		const channel = session().key;
		await world.home("eu-west-1").claim(channel);
		const asked = { action: "subscribe", ref: 1, channels: [channel] } as const;
		const answer = await ask(await connect("backend"), { ...asked, again: REGION });
		expect(answer).toMatchObject({ ends: [], refused: [[channel, "moved"]] });
		expect(await ask(await connect("backend"), { ...asked, again: "eu-west-1" })).toMatchObject({ refused: [] });
		expect(await world.home(REGION).look(channel)).toMatchObject({ region: REGION });
	});

	it("are renewed at half their life, and gone after it", async () => {
		const { key: channel } = session();
		const us = world.home(REGION);
		const first = await us.claim(channel);
		world.clock.advance((DEFAULT_HOME_SECONDS / 2 + 60) * 1000);
		const renewed = await us.claim(channel);
		expect([renewed.counter, renewed.expiresAt > first.expiresAt]).toEqual([1, true]);
		world.clock.advance((DEFAULT_HOME_SECONDS + 60) * 1000);
		expect(await us.resolve(channel)).toBeUndefined();
		expect(await world.home("eu-west-1").resolveOrClaim(channel)).toBe("eu-west-1");
	});

	it("agree on equal counters by the greater region, and skip what has expired", () => {
		const item = (region: string, counter: number, expiresAt = 10) => ({ region, counter, expiresAt });
		expect(homeOf([item("a", 2), item("b", 2), item("c", 1)], 0)?.region).toBe("b");
		expect(homeOf([item("b", 2), item("a", 2)], 0)?.region).toBe("b");
		expect(homeOf([item("b", 3, 1), item("a", 2)], 2_000)?.region).toBe("a");
	});

	it("evict: followers in the region that lost a session are told `moved` once and lose that channel only", async () => {
		const { key: channel } = session();
		const other = freshChannel();
		const meta = await connect("backend");
		await ask(meta, { action: "subscribe", ref: 1, channels: [channel, other.key] });
		const posted: [string, string][] = [];
		const poster: Poster = {
			post: async ({ id }: Connection, frame) => void posted.push([id, frame]),
			close: async () => {},
		};
		const { clock } = world;
		const connections = world.connections();
		const ports = {
			...world.forward(),
			log: world.log(),
			connections,
			poster,
			clock,
			...postingOf(world),
			report: () => {},
		};
		const at = clock.now();
		const stale = { sequence: "1", session: channel, region: "eu-west-1", counter: 2, at };
		expect(await sync(ports, [stale])).toEqual({ failed: undefined, evicted: 0 }); // the home is still here
		await world.home("eu-west-1").claim(channel);
		const throttled: Poster = {
			post: () => Promise.reject(named("LimitExceededException")),
			close: async () => {},
		};
		// Neither told nor closed: its record must come again, or it would wait here for ever.
		expect(await sync({ ...ports, poster: throttled }, [stale])).toEqual({ failed: "1", evicted: 0 });
		expect(await world.followersOf(channel)).toHaveLength(1);
		const records = [
			{ sequence: "2", session: undefined, region: "eu-west-1", counter: 2, at },
			{ sequence: "2b", session: "nonsense", region: "eu-west-1", counter: Number.NaN, at: Number.NaN },
			{ sequence: "3", session: channel, region: REGION, counter: 1, at },
			{ sequence: "4", session: channel, region: "eu-west-1", counter: 2, at },
			{ sequence: "5", session: channel, region: "eu-west-1", counter: 2, at },
		];
		expect(await sync(ports, records)).toEqual({ failed: undefined, evicted: 1 });
		expect(posted.map(([id, frame]) => [id, decodeServerFrame(frame)])).toEqual([[meta.id, { t: "moved", channel }]]);
		expect(await world.followersOf(channel)).toEqual([]);
		expect(await world.followersOf(other.key)).toHaveLength(1);
		const broken = { ...ports, home: { look: () => Promise.reject(new Error("down")) } };
		expect(await sync(broken, records)).toEqual({ failed: "4", evicted: 0 });
	});
});
