/** Frames, connections and tickets on real tables. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createChannel } from "../../lambda/layer/src/core/channel.ts";
import { BEGINNING } from "../../lambda/layer/src/core/position.ts";
import { type ConnectionMeta, MAX_READS_PER_MINUTE } from "../../lambda/layer/src/transports/aws/cell/connections.ts";
import { createPoster, postFrames } from "../../lambda/layer/src/transports/aws/cell/poster.ts";
import { issueTicket } from "../../lambda/layer/src/transports/aws/ticket.ts";
import { createCaller, key, namespace } from "./aws-cell-caller.ts";
import { postingOf } from "./aws-cell-mailroom.ts";
import { envelopeOf, freshChannel, itemOf, startWorld, type World } from "./aws-cell-world.ts";

let world: World;
beforeAll(async () => {
	world = await startWorld();
});
afterAll(() => world?.stop());

const { connect, ask, claimsFor } = createCaller(() => world);

describe("frames", () => {
	it("subscribes, with the end of each log, and refuses what is not a channel of ours, each by its code", async () => {
		const [full, empty] = [freshChannel(), freshChannel()];
		const [row] = await world.log().append(full.key, [itemOf(envelopeOf(full))]);
		const foreign = createChannel("topic", "x", { namespace: "other" }).key;
		const peer = createChannel("instance", "x", { namespace: "other" }).key;
		const meta = await connect("backend");
		const channels = [full.key, empty.key, foreign, "nonsense", peer, full.key];
		const answer = await ask(meta, { action: "subscribe", ref: 7, channels });
		if (answer.t !== "subscribed") throw new Error(answer.t);
		expect(new Map(answer.ends)).toEqual(
			new Map([
				[full.key, row?.position],
				[empty.key, BEGINNING],
			]),
		);
		expect(answer.ref).toBe(7);
		expect(Object.fromEntries(answer.refused)).toEqual({
			[foreign]: "InvalidChannel",
			nonsense: "InvalidChannel",
			[peer]: "InvalidChannel",
		});
		expect(await world.followersOf(full.key)).toEqual([{ id: meta.id, api: "backend", isExpired: false }]);
		expect(await ask(meta, { action: "unsubscribe", ref: 8, channels: [full.key] })).toEqual({
			t: "unsubscribed",
			ref: 8,
		});
		expect(await world.followersOf(full.key)).toEqual([]);
		expect(await world.followersOf(empty.key)).toHaveLength(1);
	});

	it("answers a ping, and an error to what it cannot read, with the ref where there is one", async () => {
		const meta = await connect("backend");
		expect(await ask(meta, { action: "ping", ref: 1 })).toEqual({ t: "pong", ref: 1 });
		expect(await ask(meta, "{")).toMatchObject({ t: "error", code: "InvalidMessage" });
		expect(await ask(meta, '{"action":"dance","ref":3}')).toMatchObject({ t: "error", ref: 3, code: "InvalidMessage" });
		const huge = JSON.stringify({ action: "subscribe", ref: 4, channels: ["x".repeat(31_000)] });
		expect(await ask(meta, huge)).toMatchObject({ t: "error", code: "PayloadTooLarge" });
		const many = JSON.stringify({ action: "subscribe", ref: 5, channels: Array.from({ length: 201 }, String) });
		expect(await ask(meta, many)).toMatchObject({ t: "error", ref: 5, code: "InvalidMessage" });
	});

	it("lets an end client reach the channels of its ticket, while it lasts, and no other", async () => {
		const [mine, other] = [freshChannel(), freshChannel()];
		await world.log().append(other.key, [itemOf(envelopeOf(other, "secret"))]);
		await world.log().append(
			mine.key,
			[1, 2, 3].map((n) => itemOf(envelopeOf(mine, n))),
		);
		const meta = await connect("client", await claimsFor([mine.key], 60));
		const peers = createChannel("instance", "*").key;
		const answer = await ask(meta, { action: "subscribe", ref: 1, channels: [mine.key, other.key, peers] });
		const refused = [other.key, peers].map((key) => [key, "ScopeRequired"]);
		expect(answer).toMatchObject({ t: "subscribed", refused });
		expect(await world.followersOf(other.key)).toEqual([]);
		const page = await ask(meta, { action: "read", ref: 2, channel: mine.key, from: BEGINNING, limit: 2 });
		expect(page).toMatchObject({ t: "page", ref: 2, more: true, verdict: "whole" });
		const stolen = await ask(meta, { action: "read", ref: 3, channel: other.key, from: BEGINNING, limit: 2 });
		expect(stolen).toMatchObject({ t: "error", ref: 3, code: "ScopeRequired" });

		world.clock.advance(61_000);
		expect((await world.followersOf(mine.key))[0]?.isExpired).toBe(true);
		const late = await ask(meta, { action: "read", ref: 4, channel: mine.key, from: BEGINNING, limit: 2 });
		expect(late).toMatchObject({ t: "error", code: "TicketInvalid" });

		const issue = (principal: string) =>
			issueTicket(key, { namespace, tenant: "default", principal, channels: [mine.key] }, world.clock);
		const hijack = await ask(meta, { action: "renew", ref: 5, ticket: await issue("u2") });
		expect(hijack).toMatchObject({ t: "error", ref: 5, code: "TicketInvalid" });
		expect(await ask(meta, { action: "renew", ref: 6, ticket: await issue("u1") })).toMatchObject({
			t: "renewed",
			ref: 6,
		});
		expect((await world.followersOf(mine.key))[0]?.isExpired).toBe(false);
		const renewed = (await world.connections().meta(meta.id)) as ConnectionMeta;
		const again = await ask(renewed, { action: "read", ref: 7, channel: mine.key, from: BEGINNING, limit: 9 });
		expect(again).toMatchObject({ t: "page", more: false });
	});

	it("bounds what an end client reads, in a frame and in a minute over all its connections, and names the limits [P6]", async () => {
		// Minutes are those of the clock on the wall: all of it has to fall into one.
		world.clock.advance(60_000 - (world.clock.now() % 60_000));
		const [mine, theirs] = [freshChannel(), freshChannel()];
		const claims = await claimsFor([mine.key], 600, "greedy");
		const metas = [await connect("client", claims), await connect("client", claims)];
		const read = (meta: ConnectionMeta, limit: number, channel = mine.key) =>
			ask(meta, JSON.stringify({ action: "read", ref: 1, channel, from: "00000000.0", limit }));
		const large = await read(metas[0] as ConnectionMeta, 101);
		expect(large).toMatchObject({ t: "error", code: "InvalidMessage", message: expect.stringContaining("100") });
		const answers = [];
		for (let at = 0; at < MAX_READS_PER_MINUTE; at += 50) {
			const some = Array.from({ length: 50 }, (_, index) => read(metas[index % 2] as ConnectionMeta, 1));
			answers.push(...(await Promise.all(some)));
		}
		expect(new Set(answers.map(({ t }) => t))).toEqual(new Set(["page"]));
		const over = { t: "error", ref: 1, code: "TransportRefused", message: expect.stringContaining("300") };
		for (const meta of metas) expect(await read(meta, 1)).toMatchObject(over);
		const other = await connect("client", await claimsFor([theirs.key], 600, "modest"));
		expect(await read(other, 1, theirs.key)).toMatchObject({ t: "page" });
		world.clock.advance(60_000);
		expect(await read(metas[0] as ConnectionMeta, 1)).toMatchObject({ t: "page" });
	});

	it("refuses a renewal that lacks a followed channel, and takes it once that is unsubscribed", async () => {
		const [kept, dropped] = [freshChannel(), freshChannel()];
		const meta = await connect("client", await claimsFor([kept.key, dropped.key]));
		await ask(meta, { action: "subscribe", ref: 1, channels: [kept.key, dropped.key] });
		const ticket = await issueTicket(
			key,
			{ namespace, tenant: "default", principal: "u1", channels: [kept.key] },
			world.clock,
		);
		const refusal = await ask(meta, { action: "renew", ref: 2, ticket });
		expect(refusal).toMatchObject({ t: "error", ref: 2, code: "TicketInvalid" });
		expect((await world.connections().meta(meta.id))?.claims?.channels).toEqual([kept.key, dropped.key]);
		await ask(meta, { action: "unsubscribe", ref: 3, channels: [dropped.key] });
		expect(await ask(meta, { action: "renew", ref: 4, ticket })).toMatchObject({ t: "renewed", ref: 4 });
		expect(await world.followersOf(kept.key)).toHaveLength(1);
	});

	it("removes a connection with everything that it followed, more channels than one batch takes", async () => {
		const channels = Array.from({ length: 60 }, () => freshChannel().key);
		const meta = await connect("backend");
		await ask(meta, { action: "subscribe", ref: 1, channels });
		await world.connections().remove(meta.id);
		for (const channel of channels) expect(await world.followersOf(channel)).toEqual([]);
		expect(await world.connections().meta(meta.id)).toBeUndefined();
	});

	it("posts to a connection that the gateway does not know, and forgets it", async () => {
		const meta = await connect("backend");
		const client = world.clients.management(`${world.endpoint}/_aws/execute-api/none/live`);
		const ports = {
			poster: createPoster(() => client),
			connections: world.connections(),
			clock: world.clock,
			...postingOf(world),
			report: () => {},
		};
		expect(await postFrames(ports, meta, ["{}"])).toBe("gone");
		expect(await world.connections().meta(meta.id)).toBeUndefined();
	});
});
