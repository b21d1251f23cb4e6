/** Frames, connections, home regions, sync and relay on real tables and queues. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createChannel } from "../../lambda/layer/src/core/channel.ts";
import { encodeEnvelope } from "../../lambda/layer/src/core/envelope.ts";
import { BEGINNING } from "../../lambda/layer/src/core/position.ts";
import type { Api, Connection, ConnectionMeta } from "../../lambda/layer/src/transports/aws/cell/connections.ts";
import { answerFrame, type FramePorts } from "../../lambda/layer/src/transports/aws/cell/frames.ts";
import { groupOf } from "../../lambda/layer/src/transports/aws/cell/mailbox.ts";
import { createPoster, type Poster, postFrames } from "../../lambda/layer/src/transports/aws/cell/poster.ts";
import { relay } from "../../lambda/layer/src/transports/aws/cell/relay.ts";
import { sync } from "../../lambda/layer/src/transports/aws/cell/sync.ts";
import { DEFAULT_HOME_SECONDS, homeOf } from "../../lambda/layer/src/transports/aws/home.ts";
import {
	type Claims,
	createTicketKey,
	issueTicket,
	verifyTicket,
} from "../../lambda/layer/src/transports/aws/ticket.ts";
import { decodeServerFrame, encodeClientFrame, type ServerFrame } from "../../lambda/layer/src/transports/aws/wire.ts";
import { envelopeOf, freshChannel, ids, itemOf, startWorld, type World } from "./aws-cell-world.ts";

let world: World;
beforeAll(async () => {
	world = await startWorld();
});
afterAll(() => world?.stop());

const REGION = "us-east-1";
const key = createTicketKey("secret");
const namespace = "default";

function framePorts(): FramePorts {
	const { clock } = world;
	const connections = world.connections();
	return {
		namespace,
		clock,
		connections,
		log: world.log(),
		home: world.home(REGION),
		report: () => {},
		key: async () => key,
	};
}

async function connect(api: Api, claims?: Claims): Promise<ConnectionMeta> {
	const id = randomUUID();
	await world.connections().open({ id, api }, claims);
	return (await world.connections().meta(id)) as ConnectionMeta;
}

const ask = async (
	meta: ConnectionMeta,
	frame: Parameters<typeof encodeClientFrame>[0] | string,
): Promise<ServerFrame> =>
	decodeServerFrame(
		await answerFrame(framePorts(), meta, typeof frame === "string" ? frame : encodeClientFrame(frame)),
	);

const claimsFor = async (channels: string[], ttlSeconds = 600, principal = "u1") =>
	verifyTicket(
		key,
		await issueTicket(key, { namespace, tenant: "default", principal, channels, ttlSeconds }, world.clock),
		{
			namespace,
			clock: world.clock,
		},
	);

describe("frames", () => {
	it("subscribes, with the end of each log, and refuses what is not a channel of ours, each by its code", async () => {
		const [full, empty] = [freshChannel(), freshChannel()];
		const [row] = await world.log().append(full.key, [itemOf(envelopeOf(full))]);
		const foreign = createChannel("topic", "x", { namespace: "other" }).key;
		const instance = createChannel("instance", "x").key;
		const meta = await connect("backend");
		const channels = [full.key, empty.key, foreign, "nonsense", instance, full.key];
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
			[instance]: "Unsupported",
		});
		expect(await world.connections().of(full.key)).toEqual([{ id: meta.id, api: "backend", isExpired: false }]);
		expect(await ask(meta, { action: "unsubscribe", ref: 8, channels: [full.key] })).toEqual({
			t: "unsubscribed",
			ref: 8,
		});
		expect(await world.connections().of(full.key)).toEqual([]);
		expect(await world.connections().of(empty.key)).toHaveLength(1);
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
		const answer = await ask(meta, { action: "subscribe", ref: 1, channels: [mine.key, other.key] });
		expect(answer).toMatchObject({ t: "subscribed", refused: [[other.key, "ScopeRequired"]] });
		expect(await world.connections().of(other.key)).toEqual([]);
		const page = await ask(meta, { action: "read", ref: 2, channel: mine.key, from: BEGINNING, limit: 2 });
		expect(page).toMatchObject({ t: "page", ref: 2, more: true, verdict: "whole" });
		const stolen = await ask(meta, { action: "read", ref: 3, channel: other.key, from: BEGINNING, limit: 2 });
		expect(stolen).toMatchObject({ t: "error", ref: 3, code: "ScopeRequired" });

		world.clock.advance(61_000);
		expect((await world.connections().of(mine.key))[0]?.isExpired).toBe(true);
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
		expect((await world.connections().of(mine.key))[0]?.isExpired).toBe(false);
		const renewed = (await world.connections().meta(meta.id)) as ConnectionMeta;
		const again = await ask(renewed, { action: "read", ref: 7, channel: mine.key, from: BEGINNING, limit: 9 });
		expect(again).toMatchObject({ t: "page", more: false });
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
		expect(await world.connections().of(kept.key)).toHaveLength(1);
	});

	it("removes a connection with everything that it followed, more channels than one batch takes", async () => {
		const channels = Array.from({ length: 60 }, () => freshChannel().key);
		const meta = await connect("backend");
		await ask(meta, { action: "subscribe", ref: 1, channels });
		await world.connections().remove(meta.id);
		for (const channel of channels) expect(await world.connections().of(channel)).toEqual([]);
		expect(await world.connections().meta(meta.id)).toBeUndefined();
	});

	it("posts to a connection that the gateway does not know, and forgets it", async () => {
		const meta = await connect("backend");
		const client = world.clients.management(`${world.endpoint}/_aws/execute-api/none/live`);
		const ports = {
			poster: createPoster(() => client),
			connections: world.connections(),
			clock: world.clock,
			report: () => {},
		};
		expect(await postFrames(ports, meta, ["{}"])).toBe("gone");
		expect(await world.connections().meta(meta.id)).toBeUndefined();
	});
});

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
		const ports = { ...world.forward(), log: world.log(), connections, poster, clock, report: () => {} };
		const at = clock.now();
		const stale = { sequence: "1", session: channel, region: "eu-west-1", at };
		expect(await sync(ports, [stale])).toEqual({ failed: undefined, evicted: 0 }); // the home is still here
		await world.home("eu-west-1").claim(channel);
		const records = [
			{ sequence: "2", session: undefined, region: "eu-west-1", at },
			{ sequence: "2b", session: "nonsense", region: "eu-west-1", at: Number.NaN },
			{ sequence: "3", session: channel, region: REGION, at },
			{ sequence: "4", session: channel, region: "eu-west-1", at },
			{ sequence: "5", session: channel, region: "eu-west-1", at },
		];
		expect(await sync(ports, records)).toEqual({ failed: undefined, evicted: 1 });
		expect(posted.map(([id, frame]) => [id, decodeServerFrame(frame)])).toEqual([[meta.id, { t: "moved", channel }]]);
		expect(await world.connections().of(channel)).toEqual([]);
		expect(await world.connections().of(other.key)).toHaveLength(1);
		const broken = { ...ports, home: { look: () => Promise.reject(new Error("down")) } };
		expect(await sync(broken, records)).toEqual({ failed: "4", evicted: 0 });
	});
});

describe("a session that moved", () => {
	it("takes along what entered the log of its old home after it had moved, and nothing from before", async () => {
		const session = createChannel("session", randomUUID());
		const [before, after, later] = [1, 2, 3].map((n) => envelopeOf(session, n));
		if (!before || !after || !later) throw new Error("three envelopes");
		await world.log().append(session.key, [itemOf(before)]);
		world.clock.advance(1_000);
		await world.home("eu-west-1").claim(session.key);
		const at = world.clock.now();
		world.clock.advance(100);
		await world.log().append(session.key, [itemOf(after), itemOf(later)]);
		const { clock } = world;
		const poster: Poster = { post: async () => {}, close: async () => {} };
		const parts = { log: world.log(), connections: world.connections(), poster, clock, report: () => {} };
		const record = { sequence: "1", session: session.key, region: "eu-west-1", at };
		for (const _ of [1, 2]) await sync({ ...world.forward(), ...parts }, [record]);
		const mail = await world.takeMail("eu-west-1", 3);
		expect(mail.map(({ body, via }) => [body, via])).toEqual(
			[after, later].map((one) => [encodeEnvelope(one), REGION]),
		);
	});
});

describe("relay", () => {
	it("takes copies of several regions into the mailbox once each, with group and channel", async () => {
		const channels = [freshChannel(), freshChannel()];
		const bodies = channels.flatMap((channel) =>
			[1, 2].map(() => encodeEnvelope(envelopeOf(channel, "w".repeat(90_000)))),
		);
		const newer = JSON.stringify({ v: 99, id: ids.next(), channel: channels[0]?.key, later: true });
		const record = (body: string, channel?: string) => ({ messageId: randomUUID(), body, channel });
		const records = [...bodies, ...bodies].map((body) => record(body));
		records.push(record(newer, channels[0]?.key), record(newer, channels[0]?.key), record("garbage"));
		const errors: string[] = [];
		const ports = {
			send: world.queues.sendMail,
			keepError: async (_: unknown, code: string) => void errors.push(code),
			report: () => {},
		};
		expect(await relay(ports, records)).toEqual([]);
		const mail = await world.takeMail(REGION, 5);
		const idOf = (body: string) => (JSON.parse(body) as { id: string }).id;
		expect(mail.map(({ body }) => idOf(body)).sort()).toEqual([...bodies, newer].map(idOf).sort());
		for (const { group, channel = "" } of mail) expect(group).toBe(groupOf(channel));
		expect(errors).toEqual(["InvalidEnvelope"]);
	});

	it("asks again for what the mailbox refused, and for no more", async () => {
		const channel = freshChannel();
		const records = [1, 2, 3].map((n) => ({
			messageId: String(n),
			body: encodeEnvelope(envelopeOf(channel, n)),
			channel: undefined,
		}));
		const ports = { keepError: async () => {}, report: () => {} };
		expect(await relay({ ...ports, send: async () => [1] }, records)).toEqual(["2"]);
		const send = () => Promise.reject(new Error("down"));
		expect(await relay({ ...ports, send }, records)).toEqual(["1", "2", "3"]);
	});
});
