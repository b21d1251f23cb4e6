/** The log that a session leaves: sealed by the region that takes it, final from then on, and read there by who resumes here. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Channel, createChannel } from "../../lambda/layer/src/core/channel.ts";
import { type Envelope, encodeEnvelope } from "../../lambda/layer/src/core/envelope.ts";
import { BEGINNING, type Position } from "../../lambda/layer/src/core/position.ts";
import type { Page } from "../../lambda/layer/src/core/transport.ts";
import { deliver } from "../../lambda/layer/src/transports/aws/cell/deliver.ts";
import { answerFrame } from "../../lambda/layer/src/transports/aws/cell/frames.ts";
import type { Poster } from "../../lambda/layer/src/transports/aws/cell/poster.ts";
import { sync } from "../../lambda/layer/src/transports/aws/cell/sync.ts";
import type { Home } from "../../lambda/layer/src/transports/aws/home.ts";
import { createPast } from "../../lambda/layer/src/transports/aws/past.ts";
import { decodeServerFrame, encodeClientFrame, type ServerFrame } from "../../lambda/layer/src/transports/aws/wire.ts";
import { createCaller } from "./aws-cell-caller.ts";
import { createMailroom, Inboxes, mail, named, postingOf } from "./aws-cell-mailroom.ts";
import { envelopeOf, itemOf, RETENTION_SECONDS, startWorld, type World } from "./aws-cell-world.ts";

const US = "us-east-1";
const EU = "eu-west-1";
let world: World;
beforeAll(async () => {
	world = await startWorld();
});
afterAll(() => world?.stop());

const us = createCaller(() => world, US);
const eu = createCaller(() => world, EU);
const { portsOf, rowsOf } = createMailroom(() => world);
const session = () => createChannel("session", randomUUID());
const subscribe = async (caller: typeof us, { key }: Channel): Promise<ServerFrame> =>
	caller.ask(await caller.connect("backend"), { action: "subscribe", ref: 1, channels: [key] });
const envelopesOf = (channel: Channel, count: number) =>
	Array.from({ length: count }, (_, n) => envelopeOf(channel, n));
const append = (region: string, channel: Channel, envelopes: readonly Envelope[]) =>
	world.logIn(region).append(channel.key, envelopes.map(itemOf));
const sealIn = async (region: string, { key }: Channel) => (await world.logIn(region).tail(key, 1)).seal;

/** What a process in `region` reads of the channel's past at `from`'s place. */
async function pastOf(region: string, from: string, channel: Channel, position: Position, limit = 100): Promise<Page> {
	const past = createPast({ region, regions: [US, EU, "ap-southeast-1"], concurrency: 1, logIn: world.logIn });
	for await (const page of past.read(
		`aws/${from}`,
		[{ channel, from: position, limit }],
		new AbortController().signal,
	)) {
		return page;
	}
	throw new Error("one page an ask");
}
const shownBy = (page: Page) => page.entries.map(({ envelope }) => envelope?.id);

/** deliver in us-east-1, which knows of a home only what `look` says. */
const deliverKnowing = (look: Home["look"], channel: Channel, envelopes: readonly Envelope[]) => {
	const ports = portsOf(new Inboxes());
	return deliver(
		{ ...ports, postpone: async () => {}, forward: { ...ports.forward, home: { look } } },
		mail(channel, envelopes),
	);
};

describe("the log that a session leaves", () => {
	it("[P3] is read from a cursor of there to its end, and the session goes on where the new region's log ended", async () => {
		const channel = session();
		await subscribe(us, channel);
		const before = envelopesOf(channel, 5);
		const rows = await append(US, channel, before);
		await append(EU, channel, envelopesOf(channel, 1));
		await subscribe(eu, channel);
		// A row of its own, that keeps this stay apart.
		const { end: start } = await world.logIn(EU).tail(channel.key, 1);
		expect(start.offset).toBe(2);
		const [next] = await append(EU, channel, envelopesOf(channel, 1));
		expect(await sealIn(US, channel)).toEqual({ claim: 2, to: EU, start: start });
		const page = await pastOf(EU, US, channel, rows[1]?.position as Position);
		expect(page).toMatchObject({ more: false, verdict: "whole", goesOn: start });
		expect(shownBy(page)).toEqual(before.slice(2).map(({ id }) => id));
		expect(next?.prev).toEqual(page.goesOn);
		const first = await pastOf(EU, US, channel, BEGINNING, 4);
		expect([shownBy(first).length, first.more, first.goesOn]).toEqual([4, true, start]);
		const last = await pastOf(EU, US, channel, rows[4]?.position as Position);
		expect([last.entries, last.more, last.goesOn]).toEqual([[], false, start]);
	});

	it("[P3] tells nothing of how it goes on without a seal, or with one of another region", async () => {
		const channel = session();
		const [row] = await append(US, channel, envelopesOf(channel, 1));
		const nowhere = { entries: [], more: false, verdict: "whole" };
		const unsealed = await pastOf(EU, US, channel, BEGINNING);
		expect([unsealed, unsealed.goesOn]).toMatchObject([nowhere, undefined]);
		await world.home(US).claim(channel.key);
		await subscribe(eu, channel);
		const foreign = await pastOf("ap-southeast-1", US, channel, row?.position as Position);
		expect([foreign, foreign.goesOn]).toMatchObject([nowhere, undefined]);
	});

	it("[P3] of a shared channel is every region's own: who had seen nothing begins here, anybody else is told", async () => {
		for (const kind of ["topic", "principal", "all"] as const) {
			const channel = createChannel(kind, kind === "all" ? "" : randomUUID());
			const [row] = await append(US, channel, envelopesOf(channel, 1));
			expect(await pastOf(EU, US, channel, BEGINNING)).toMatchObject({ entries: [], more: false, goesOn: BEGINNING });
			expect((await pastOf(EU, US, channel, row?.position as Position)).goesOn).toBeUndefined();
		}
		const past = createPast({ region: EU, regions: [US, EU], concurrency: 1, logIn: world.logIn });
		const kinds = ["session", "topic", "post", "instance"] as const;
		const places = kinds.map((kind) => past.places({ ...session(), kind }));
		expect(places).toEqual([[`aws/${US}`], [`aws/${US}`], [], []]);
	});

	it("[P3] says of rows that are gone what the own log would say", async () => {
		const channel = session();
		await subscribe(us, channel);
		const [row] = await append(US, channel, envelopesOf(channel, 2));
		world.clock.advance(RETENTION_SECONDS * 900);
		await append(US, channel, envelopesOf(channel, 1));
		world.clock.advance(RETENTION_SECONDS * 200);
		await subscribe(eu, channel);
		expect(await pastOf(EU, US, channel, row?.position as Position)).toMatchObject({ verdict: "retention" });
		const foreign = await pastOf(EU, US, channel, { epoch: "0badcafe", offset: 1 });
		expect([foreign.verdict, foreign.entries.length]).toEqual(["epoch", 1]);
		world.clock.advance(RETENTION_SECONDS * 2_000);
		expect((await pastOf(EU, US, channel, row?.position as Position)).goesOn).toBeUndefined();
	});

	it("[P3] takes no row more, of a region that does not know yet: what comes is put back, then sent on", async () => {
		const channel = session();
		await subscribe(us, channel);
		const stale = await world.home(US).look(channel.key);
		const [early, late] = envelopesOf(channel, 2) as [Envelope, Envelope];
		expect(await deliverKnowing(async () => stale, channel, [early])).toMatchObject({ failed: [], appended: 1 });
		await subscribe(eu, channel);
		const { failed, appended } = await deliverKnowing(async () => stale, channel, [late]);
		expect([failed.length, appended]).toEqual([1, 0]);
		// The batch that stood there before is done, whoever is the home by now.
		expect(await deliverKnowing(async () => stale, channel, [early])).toMatchObject({ failed: [], repeated: 1 });
		expect(await deliver(portsOf(new Inboxes()), mail(channel, [late]))).toMatchObject({ failed: [], forwarded: 1 });
		expect(await world.takeMail(EU, 1)).toHaveLength(1);
		expect(shownBy(await pastOf(EU, US, channel, BEGINNING))).toEqual([early.id]);
	});

	it("[P4] keeps what a batch had put there that comes again after the move: it is not in two logs", async () => {
		const channel = session();
		await subscribe(us, channel);
		const [first, second] = envelopesOf(channel, 2) as [Envelope, Envelope];
		await append(US, channel, [first]);
		await subscribe(eu, channel);
		const tally = await deliver(portsOf(new Inboxes()), mail(channel, [first, second]));
		expect(tally).toMatchObject({ failed: [], repeated: 1, forwarded: 1, appended: 0 });
		expect((await world.takeMail(EU, 2)).map(({ body }) => body)).toEqual([encodeEnvelope(second)]);
		const past = await pastOf(EU, US, channel, {
			epoch: (await world.logIn(US).tail(channel.key, 1)).end.epoch,
			offset: 1,
		});
		expect([past.entries, past.before]).toEqual([[], [first.id]]);
	});

	it("goes on when its session comes back, and shows who had not left that something is missing there", async () => {
		const channel = session();
		await subscribe(us, channel);
		const [row] = await append(US, channel, envelopesOf(channel, 1));
		await subscribe(eu, channel);
		const elsewhere = await append(EU, channel, envelopesOf(channel, 2));
		await subscribe(us, channel);
		const back = envelopeOf(channel);
		expect(await deliver(portsOf(new Inboxes()), mail(channel, [back]))).toMatchObject({ failed: [], appended: 1 });
		expect((await rowsOf(channel)).map(({ text }) => text !== undefined)).toEqual([true, false, true]);
		const page = await pastOf(US, EU, channel, elsewhere[0]?.position as Position);
		expect(shownBy(page)).toEqual([JSON.parse(elsewhere[1]?.text as string).id]);
		expect(page.goesOn).toEqual({ ...row?.position, offset: 2 });
	});

	it("[P3] is apart from the stay before also where nobody sealed it: who comes back there is told", async () => {
		const channel = session();
		await subscribe(us, channel);
		const [row] = await append(US, channel, envelopesOf(channel, 1));
		await world.home(EU).claim(channel.key);
		await append(EU, channel, envelopesOf(channel, 1));
		await subscribe(us, channel);
		const { entries } = await world.logIn(US).read({ channel, from: row?.position as Position, limit: 9 });
		expect(entries.map(({ envelope }) => envelope)).toEqual([undefined]);
		// Sealed it needs none: both ways once more add one row there, and none here.
		await subscribe(eu, channel);
		await subscribe(us, channel);
		expect((await rowsOf(channel)).length).toBe(3);
	});

	it("is not sent on by sync: who resumes reads it", async () => {
		const channel = session();
		await subscribe(us, channel);
		await append(US, channel, envelopesOf(channel, 2));
		await subscribe(eu, channel);
		const { clock } = world;
		const poster: Poster = { post: async () => {}, close: async () => {} };
		const parts = { ...world.forward(), log: world.logIn(US), connections: world.connections(), poster, clock };
		const ports = { ...parts, ...postingOf(world), report: () => {} };
		await sync(ports, [{ sequence: "1", session: channel.key, region: EU, at: 0 }]);
		expect(await world.takeMail(EU, 1)).toEqual([]);
	});

	it("is sealed once by two subscribes at once, and the one that took the session says where it goes on", async () => {
		const channel = session();
		await subscribe(us, channel);
		const claims = await Promise.all([1, 2, 3].map(() => world.home(EU).claim(channel.key)));
		expect(claims.filter(({ from }) => from === US)).toHaveLength(1);
		expect(claims.map(({ counter }) => counter)).toEqual([2, 2, 2]);
	});

	it("[P7] that cannot be reached stays as it is, and the subscribe stands without", async () => {
		const channel = session();
		await subscribe(us, channel);
		const meta = await eu.connect("backend");
		const said: string[] = [];
		const { clock } = world;
		const ports = { namespace: "default", region: EU, clock, connections: world.connections(), log: world.logIn(EU) };
		const more = {
			home: world.home(EU),
			report: (what: string) => void said.push(what),
			key: async () => ({}) as never,
		};
		const logIn = () => ({ append: () => Promise.reject(named("TimeoutError")) });
		const frame = encodeClientFrame({ action: "subscribe", ref: 1, channels: [channel.key] });
		const answer = decodeServerFrame(await answerFrame({ ...ports, ...more, logIn }, meta, frame));
		expect([answer, said]).toMatchObject([{ t: "subscribed", refused: [] }, ["log was not sealed"]]);
		expect(await sealIn(US, channel)).toBeUndefined();
	});
});
