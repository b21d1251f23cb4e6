/**
 * Tickets: what an end client shows the client API instead of a password. An EdDSA JWT whose key is an Ed25519 key
 * with SHA-256 of a Secrets Manager string as its seed. It names the channels that may be followed, and ends within
 * a day. Checking one tells nothing of why it failed to whoever sent it.
 */
import { createHash, createPrivateKey, createPublicKey, type KeyObject, randomUUID } from "node:crypto";
import { MAX_CHANNEL_PART_BYTES, parseChannel } from "../../core/channel.ts";
import type { Clock } from "../../core/clock.ts";
import { FanoutError } from "../../core/errors.ts";
import { aws, type SecretsClient } from "./sdk.ts";

export const TICKET_ISSUER = "mcp-fanout";
export const TICKET_PROTOCOL = "mcp-fanout";
export const TICKET_PREFIX = "ticket.";
export const DEFAULT_TICKET_SECONDS = 15 * 60;
export const MAX_TICKET_SECONDS = 24 * 60 * 60;
/** Channels in one ticket: it travels in a header, of which API Gateway takes 10 KB in all. */
export const MAX_TICKET_CHANNELS = 50;
export const MAX_TICKET_BYTES = 8 * 1024;
const KEY_MS = 5 * 60_000;

export interface Claims {
	readonly namespace: string;
	readonly principal?: string;
	readonly tenant: string;
	/** Channel keys that may be followed. */
	readonly channels: readonly string[];
	/** Seconds since 1970. */
	readonly expiresAt: number;
	readonly id: string;
}

export interface TicketInput {
	readonly namespace: string;
	readonly tenant: string;
	readonly principal?: string | undefined;
	readonly channels: readonly string[];
	readonly ttlSeconds?: number | undefined;
}

export interface TicketKey {
	readonly privateKey: KeyObject;
	readonly publicKey: KeyObject;
}

const PKCS8_ED25519 = Buffer.from("302e020100300506032b657004220420", "hex");

export function createTicketKey(secret: string): TicketKey {
	const seed = createHash("sha256").update(secret).digest();
	const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8_ED25519, seed]), format: "der", type: "pkcs8" });
	return { privateKey, publicKey: createPublicKey(privateKey) };
}

async function loadJose(): Promise<typeof import("jose")> {
	try {
		return await import("jose");
	} catch (cause) {
		throw new FanoutError("DependencyMissing", "tickets need the package jose: install it beside mcp-fanout", {
			cause,
		});
	}
}

function checkChannels(channels: readonly string[], namespace: string): void {
	if (channels.length > MAX_TICKET_CHANNELS) {
		throw new FanoutError(
			"TooManyChannels",
			`${channels.length} channels in one ticket, at most ${MAX_TICKET_CHANNELS}`,
		);
	}
	for (const key of channels) {
		const channel = parseChannel(key);
		if (channel.namespace !== namespace || channel.kind === "instance") {
			throw new FanoutError("InvalidChannel", "a ticket's channels are of its own namespace and have a log");
		}
	}
}

/** A signed ticket. Only after the application has authenticated whom it is for. */
export async function issueTicket(key: TicketKey, input: TicketInput, clock: Clock): Promise<string> {
	const seconds = input.ttlSeconds ?? DEFAULT_TICKET_SECONDS;
	if (!Number.isInteger(seconds) || seconds < 1 || seconds > MAX_TICKET_SECONDS) {
		throw new FanoutError("TicketInvalid", `a ticket lives from 1 to ${MAX_TICKET_SECONDS} seconds, not ${seconds}`);
	}
	checkChannels(input.channels, input.namespace);
	const jose = await loadJose();
	const now = Math.floor(clock.now() / 1000);
	const jwt = new jose.SignJWT({ tenant: input.tenant, channels: [...input.channels] })
		.setProtectedHeader({ alg: "EdDSA", typ: "JWT" })
		.setIssuer(TICKET_ISSUER)
		.setAudience(input.namespace)
		.setIssuedAt(now)
		.setNotBefore(now)
		.setExpirationTime(now + seconds)
		.setJti(randomUUID());
	if (input.principal !== undefined) jwt.setSubject(input.principal);
	const ticket = await jwt.sign(key.privateKey);
	if (ticket.length > MAX_TICKET_BYTES) {
		throw new FanoutError(
			"TicketInvalid",
			`a ticket of ${ticket.length} bytes, at most ${MAX_TICKET_BYTES}: fewer channels`,
		);
	}
	return ticket;
}

/** The claims of a ticket that is ours, for this namespace and valid now; throws TicketInvalid. */
export async function verifyTicket(
	key: TicketKey,
	ticket: string,
	{ namespace, clock }: { readonly namespace: string; readonly clock: Clock },
): Promise<Claims> {
	const jose = await loadJose();
	try {
		if (ticket.length > MAX_TICKET_BYTES) throw new Error("too long");
		const { payload } = await jose.jwtVerify(ticket, key.publicKey, {
			algorithms: ["EdDSA"],
			issuer: TICKET_ISSUER,
			audience: namespace,
			currentDate: new Date(clock.now()),
			clockTolerance: 5,
			requiredClaims: ["exp", "nbf", "jti"],
		});
		const { tenant, channels, sub, exp, jti } = payload;
		if (typeof tenant !== "string" || tenant.length > MAX_CHANNEL_PART_BYTES) throw new Error("no tenant");
		if (!Array.isArray(channels)) throw new Error("no channels");
		checkChannels(channels, namespace);
		const claims = { namespace, tenant, channels, expiresAt: exp as number, id: jti as string };
		return sub === undefined ? claims : { ...claims, principal: sub };
	} catch (cause) {
		throw new FanoutError("TicketInvalid", "the ticket is not valid here and now", { cause });
	}
}

/** Claims as the connection row and the authorizer's context carry them; undefined when they are not claims. */
export function parseClaims(text: unknown): Claims | undefined {
	if (typeof text !== "string") return undefined;
	try {
		const claims = JSON.parse(text) as Partial<Claims>;
		const isWhole = typeof claims.namespace === "string" && typeof claims.tenant === "string";
		return isWhole && Array.isArray(claims.channels) && typeof claims.expiresAt === "number"
			? (claims as Claims)
			: undefined;
	} catch {
		return undefined; // written only by our own authorizer: anything else is no claim, and is refused as such
	}
}

/** The ticket in a Sec-WebSocket-Protocol header (`mcp-fanout, ticket.<jwt>`), if there is one. */
export function ticketOf(header: string | undefined): string | undefined {
	const names = (header ?? "").split(",").map((name) => name.trim());
	const ticket = names.find((name) => name.startsWith(TICKET_PREFIX));
	return names.includes(TICKET_PROTOCOL) ? ticket?.slice(TICKET_PREFIX.length) : undefined;
}

const keys = new Map<string, { readonly key: Promise<TicketKey>; readonly until: number }>();

/**
 * The environment's key, kept for some minutes: one that was replaced, because it leaked, must not be in use for as long
 * as a process lives. A first fetch that fails is tried again by the next caller; after it the known key stays meanwhile.
 */
export async function loadTicketKey(secrets: SecretsClient, secretId: string, clock: Clock): Promise<TicketKey> {
	const known = keys.get(secretId);
	if (known !== undefined && clock.monotonic() < known.until) return known.key;
	const fetched = fetchKey(secrets, secretId);
	const key = known === undefined ? fetched : fetched.catch(() => known.key);
	keys.set(secretId, { key, until: clock.monotonic() + KEY_MS });
	key.catch(() => keys.delete(secretId));
	return key;
}

async function fetchKey(secrets: SecretsClient, secretId: string): Promise<TicketKey> {
	const { SecretString } = await secrets.send(new aws.secrets.GetSecretValueCommand({ SecretId: secretId }));
	if (!SecretString) throw new FanoutError("ConfigInvalid", "the ticket secret is empty");
	return createTicketKey(SecretString);
}
