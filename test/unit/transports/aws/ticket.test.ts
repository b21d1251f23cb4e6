/** Tickets: what is accepted, and everything that is not. */
import { createPrivateKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { SignJWT } from "jose";
import { describe, expect, it } from "vitest";
import { createChannel } from "../../../../lambda/layer/src/core/channel.ts";
import { type Clock, systemClock } from "../../../../lambda/layer/src/core/clock.ts";
import { createFakeClock } from "../../../../lambda/layer/src/testing/fake-clock.ts";
import type { SecretsClient } from "../../../../lambda/layer/src/transports/aws/sdk.ts";
import {
	createTicketKey,
	issueTicket,
	loadTicketKey,
	MAX_TICKET_CHANNELS,
	parseClaims,
	ticketOf,
	verifyTicket,
} from "../../../../lambda/layer/src/transports/aws/ticket.ts";

const NOW = 1_800_000_000_000;
const clockAt = (ms: number): Clock => ({ ...systemClock, now: () => ms });
const clock = clockAt(NOW);
const key = createTicketKey("a generated secret");
const channels = [createChannel("topic", "news").key, createChannel("principal", "u 1").key];
const input = { namespace: "default", tenant: "acme", principal: "u 1", channels, ttlSeconds: 60 };
const check = (ticket: string, at = NOW, namespace = "default") =>
	verifyTicket(key, ticket, { namespace, clock: clockAt(at) });
const refused = { code: "TicketInvalid" };

describe("tickets", () => {
	it("carry principal, tenant, channels and end", async () => {
		expect(await check(await issueTicket(key, input, clock))).toEqual({
			namespace: "default",
			tenant: "acme",
			principal: "u 1",
			channels,
			expiresAt: NOW / 1000 + 60,
			id: expect.stringMatching(/^[0-9a-f-]{36}$/),
		});
		const anonymous = await check(await issueTicket(key, { ...input, principal: undefined }, clock));
		expect("principal" in anonymous).toBe(false);
	});

	it("are made by the same key for the same secret, and by another for another", async () => {
		const ticket = await issueTicket(createTicketKey("a generated secret"), input, clock);
		await expect(check(ticket)).resolves.toBeDefined();
		await expect(check(await issueTicket(createTicketKey("another"), input, clock))).rejects.toMatchObject(refused);
	});

	it("are refused outside their time and their namespace", async () => {
		const ticket = await issueTicket(key, input, clock);
		await expect(check(ticket, NOW + 64_000)).resolves.toBeDefined();
		await expect(check(ticket, NOW + 66_000)).rejects.toMatchObject(refused);
		await expect(check(ticket, NOW - 66_000)).rejects.toMatchObject(refused);
		await expect(check(ticket, NOW, "other")).rejects.toMatchObject(refused);
	});

	it("are refused when a byte changed, when unsigned, and when signed by another algorithm", async () => {
		const ticket = await issueTicket(key, input, clock);
		const [head = "", body = "", signature = ""] = ticket.split(".");
		const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
		const claims = JSON.parse(Buffer.from(body, "base64url").toString());
		const forged = [
			`${head}.${encode({ ...claims, sub: "root" })}.${signature}`,
			`${encode({ alg: "none" })}.${body}.`,
			`${head}.${body}`,
			"",
			"x".repeat(10_000),
		];
		const hmac = new TextEncoder().encode(key.publicKey.export({ format: "pem", type: "spki" }).toString());
		forged.push(await new SignJWT(claims).setProtectedHeader({ alg: "HS256" }).sign(hmac));
		for (const one of forged) await expect(check(one)).rejects.toMatchObject(refused);
	});

	it("are refused when our own key signed what is no ticket", async () => {
		const sign = (claims: Record<string, unknown>, by: KeyObject = key.privateKey) =>
			new SignJWT({ tenant: "acme", channels, ...claims })
				.setProtectedHeader({ alg: "EdDSA" })
				.setIssuer("mcp-fanout")
				.setAudience("default")
				.setNotBefore(NOW / 1000)
				.setExpirationTime(NOW / 1000 + 60)
				.setJti("1")
				.sign(by);
		await expect(check(await sign({}))).resolves.toBeDefined();
		const foreign = createChannel("topic", "x", { namespace: "other" }).key;
		for (const claims of [
			{ channels: "all" },
			{ channels: [foreign] },
			{ channels: ["*"] },
			{ tenant: 7 },
			{ channels: [7] },
		]) {
			await expect(check(await sign(claims))).rejects.toMatchObject(refused);
		}
		const other = createPrivateKey(generateKeyPairSync("ed25519").privateKey.export({ format: "pem", type: "pkcs8" }));
		await expect(check(await sign({}, other))).rejects.toMatchObject(refused);
	});

	it("are not issued for too many channels, foreign ones, or a time out of bounds", async () => {
		const issue = (more: object) => issueTicket(key, { ...input, ...more }, clock);
		const many = Array.from({ length: MAX_TICKET_CHANNELS + 1 }, (_, n) => createChannel("topic", String(n)).key);
		await expect(issue({ channels: many })).rejects.toMatchObject({ code: "TooManyChannels" });
		await expect(issue({ namespace: "other" })).rejects.toMatchObject({ code: "InvalidChannel" });
		await expect(issue({ channels: [createChannel("instance", "i").key] })).rejects.toMatchObject({
			code: "InvalidChannel",
		});
		for (const ttlSeconds of [0, -1, 1.5, 86_401, Number.NaN]) {
			await expect(issue({ ttlSeconds })).rejects.toMatchObject(refused);
		}
		const long = Array.from({ length: 40 }, (_, n) => createChannel("topic", `${n}${"x".repeat(300)}`).key);
		await expect(issue({ channels: long })).rejects.toMatchObject(refused);
	});
});

describe("the protocol header", () => {
	it.each([
		["mcp-fanout, ticket.a.b.c", "a.b.c"],
		["ticket.a.b.c,mcp-fanout", "a.b.c"],
		["ticket.a.b.c", undefined],
		["mcp-fanout", undefined],
		["", undefined],
		[undefined, undefined],
	])("%s", (header, ticket) => {
		expect(ticketOf(header)).toBe(ticket);
	});
});

describe("claims in a row", () => {
	it("are read only when they are whole", async () => {
		const claims = await check(await issueTicket(key, input, clock));
		expect(parseClaims(JSON.stringify(claims))).toEqual(claims);
		for (const text of [undefined, "", "{", "{}", "null", '{"channels":[]}', 7])
			expect(parseClaims(text)).toBeUndefined();
	});
});

describe("the secret", () => {
	it("that was replaced is in use within minutes, and one that cannot be read again stays [P5] [P7]", async () => {
		const clock = createFakeClock();
		let secret: string | undefined = "the first";
		let calls = 0;
		const secrets = {
			async send() {
				calls += 1;
				if (secret === undefined) throw new Error("down");
				return { SecretString: secret };
			},
		} as unknown as SecretsClient;
		const inUse = async () => (await loadTicketKey(secrets, "replaced", clock)).publicKey;
		const [first, second] = ["the first", "the second"].map((text) => createTicketKey(text).publicKey) as [
			KeyObject,
			KeyObject,
		];
		expect((await inUse()).equals(first)).toBe(true);
		secret = "the second";
		await clock.advance(60_000);
		expect((await inUse()).equals(first)).toBe(true);
		expect(calls).toBe(1);
		await clock.advance(5 * 60_000);
		expect((await inUse()).equals(second)).toBe(true);
		secret = undefined;
		await clock.advance(6 * 60_000);
		expect((await inUse()).equals(second)).toBe(true);
		expect((await inUse()).equals(second)).toBe(true);
		expect(calls).toBe(3);
	});

	it("is fetched once for a time, and again after a failure", async () => {
		let calls = 0;
		const secrets = {
			send: async () => {
				calls += 1;
				if (calls === 1) throw new Error("down");
				return { SecretString: "a generated secret" };
			},
		} as unknown as SecretsClient;
		await expect(loadTicketKey(secrets, "once", systemClock)).rejects.toThrow("down");
		const [one, two] = await Promise.all([1, 2].map(() => loadTicketKey(secrets, "once", systemClock)));
		expect([one === two, calls]).toEqual([true, 2]);
		expect(one?.publicKey.equals(key.publicKey)).toBe(true);
	});
});
