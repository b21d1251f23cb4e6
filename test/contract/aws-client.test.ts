/** The receiving client on deployed cells: tickets, the client WebSocket API, logs, and another region's publisher. */
import { type ClientEvent, type Connection, type ConnectOptions, connect, type Delivery } from "mcp-fanout/client";
import { createAwsTransport } from "mcp-fanout/transports/aws";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { type Channel, type ChannelKind, createChannel } from "../../lambda/layer/src/core/channel.ts";
import { systemClock } from "../../lambda/layer/src/core/clock.ts";
import { createIds } from "../../lambda/layer/src/core/ids.ts";
import type { Transport } from "../../lambda/layer/src/core/transport.ts";
import { type AwsClients, createAwsClients } from "../../lambda/layer/src/transports/aws/sdk.ts";
import {
	createTicketKey,
	issueTicket,
	loadTicketKey,
	type TicketKey,
} from "../../lambda/layer/src/transports/aws/ticket.ts";
import type { Cell } from "../support/cell.ts";
import { openCells } from "../support/cells.ts";

const { emulator, cells, close } = await openCells();
const WAIT_MS = 20_000;
const ids = createIds(systemClock);
const tenant = `client-${ids.random32().toString(36)}`;
const [near, far] = cells as readonly [Cell, Cell];
const namespace = near.environment.FANOUT_NAMESPACE;

interface Side {
	readonly clients: AwsClients;
	readonly transport: Transport;
	readonly key: TicketKey;
}
let here: Side;
let there: Side;
const open: Connection[] = [];

async function sideOf({ region, environment }: Cell): Promise<Side> {
	const credentials = {
		accessKeyId: emulator.env.AWS_ACCESS_KEY_ID as string,
		secretAccessKey: emulator.env.AWS_SECRET_ACCESS_KEY as string,
	};
	const { endpoint } = emulator;
	const clients = createAwsClients({ region, endpoint, credentials });
	const key = await loadTicketKey(clients.secrets(), environment.FANOUT_TICKET_SECRET, systemClock);
	const transport = createAwsTransport(
		{ environment, region, endpoint, clients, follow: false },
		{ clock: systemClock, ids },
	);
	return { clients, transport, key };
}

beforeAll(async () => {
	[here, there] = await Promise.all([sideOf(near), sideOf(far)]);
});
afterEach(() => {
	for (const connection of open.splice(0)) connection.close();
});
afterAll(async () => {
	for (const { transport, clients } of [here, there]) {
		await transport.close();
		clients.close();
	}
	await close();
});

let count = 0;
const channelOf = (kind: ChannelKind): Channel => createChannel(kind, `c${++count}`, { namespace, tenant });

async function publish({ transport }: Side, channel: Channel, ...numbers: number[]): Promise<void> {
	for (const n of numbers) {
		const message = { jsonrpc: "2.0" as const, method: "notifications/n", params: { n } };
		const envelope = {
			v: 1,
			id: ids.next(),
			channel,
			message,
			publishedAt: Date.now(),
			origin: "test",
			lanes: ["aws"],
		};
		const [outcome] = await transport.publish(channel, [envelope], { mayExist: false }, AbortSignal.timeout(WAIT_MS));
		if (!outcome?.ok) throw outcome?.error ?? new Error("no outcome");
	}
}

/** One name for both regions, as DNS has it: what is dialled is where it points to at that time. */
function createSharedName(at: Cell) {
	let cell = at;
	let last: WebSocket | undefined;
	class Dialled extends WebSocket {
		constructor(_name: string, protocols: string[]) {
			super(cell.environment.FANOUT_CLIENT_API, protocols);
			last = this;
		}
	}
	/** The region is lost: its connections are cut, and the name points to the other. */
	const moveTo = (next: Cell) => {
		cell = next;
		last?.close();
	};
	return { WebSocket: Dialled, moveTo };
}

interface ClientOptions {
	readonly cursor?: string;
	readonly covered?: readonly Channel[];
	readonly WebSocket?: ConnectOptions["WebSocket"];
}

function client(channels: readonly Channel[], options: ClientOptions = {}) {
	const got: Delivery[] = [];
	const events: ClientEvent[] = [];
	const covered = options.covered ?? channels;
	const connection = connect(near.environment.FANOUT_CLIENT_API, {
		ticket: () => issueTicket(here.key, { namespace, tenant, channels: covered.map(({ key }) => key) }, systemClock),
		channels: channels.map(({ key }) => key),
		cursor: options.cursor,
		WebSocket: options.WebSocket,
		onMessage: (delivery) => got.push(delivery),
		onEvent: (event) => events.push(event),
	});
	open.push(connection);
	return {
		connection,
		events,
		numbers: ({ key }: Channel) =>
			got.filter(({ channel }) => channel === key).map(({ message }) => (message.params as { n: number }).n),
		until: async (what: string, holds: () => boolean) => {
			const limit = Date.now() + WAIT_MS;
			while (!holds()) {
				if (Date.now() > limit) throw new Error(`never happened: ${what}; events ${JSON.stringify(events)}`);
				await new Promise((resolve) => setTimeout(resolve, 10));
			}
		},
		isOpen: () => events.some(({ type }) => type === "open"),
	};
}

it("hears its session from a publisher of either region, in order, and what is for all [P2] [P4]", async () => {
	const session = channelOf("session");
	const topic = channelOf("topic");
	await publish(here, session, 0);
	const c = client([session, topic]);
	await c.until("open", c.isOpen);
	await publish(there, session, 1, 2, 3);
	await publish(there, topic, 100);
	await c.until("all", () => c.numbers(session).length >= 3 && c.numbers(topic).length >= 1);
	expect(c.numbers(session)).toEqual([1, 2, 3]);
	expect(c.numbers(topic)).toEqual([100]);
});

it("resumes from its cursor, over pages, what was published while it was away [P3]", async () => {
	const session = channelOf("session");
	await publish(here, session, 0);
	const first = client([session]);
	await first.until("open", first.isOpen);
	await publish(here, session, 1, 2);
	await first.until("two", () => first.numbers(session).length === 2);
	const { cursor } = first.connection;
	first.connection.close();
	const away = Array.from({ length: 120 }, (_, n) => n + 3);
	await publish(here, session, ...away);
	const second = client([session], { cursor });
	await second.until("what it missed", () => second.numbers(session).length >= away.length);
	await publish(here, session, 999);
	await second.until("what is new", () => second.numbers(session).includes(999));
	expect(second.numbers(session)).toEqual([...away, 999]);
	expect(second.events.filter(({ type }) => type === "missing")).toEqual([]);
});

it("takes its session along when its name points to another region, where it goes on [P7]", async () => {
	const session = channelOf("session");
	const shared = createSharedName(near);
	const c = client([session], { WebSocket: shared.WebSocket });
	await c.until("open", c.isOpen);
	await publish(here, session, 1);
	await c.until("one", () => c.numbers(session).includes(1));
	shared.moveTo(far);
	await c.until("open there", () => c.events.filter(({ type }) => type === "open").length === 2);
	await publish(there, session, 2, 3);
	await c.until("the rest", () => c.numbers(session).length === 3);
	expect(c.numbers(session)).toEqual([1, 2, 3]);
	expect(c.events.filter(({ type }) => type === "ended")).toEqual([]);
});

it("is refused a channel that its ticket does not cover, and hears nothing of it [P5]", async () => {
	const own = channelOf("principal");
	const secret = channelOf("principal");
	const c = client([own, secret], { covered: [own] });
	await c.until("the refusal", () => c.events.some(({ type }) => type === "ended"));
	await publish(here, secret, 1);
	await publish(here, own, 2);
	await c.until("its own", () => c.numbers(own).length === 1);
	expect(c.numbers(secret)).toEqual([]);
	expect(c.events.find(({ type }) => type === "ended")).toMatchObject({ channel: secret.key });
});

it("renews its ticket on the connection that it has", async () => {
	const own = channelOf("principal");
	const c = client([own]);
	await c.until("open", c.isOpen);
	await c.connection.renew();
	await publish(here, own, 1);
	await c.until("the message", () => c.numbers(own).length === 1);
	expect(c.events.filter(({ type }) => type === "lost")).toEqual([]);
});

it("never gets in with a ticket that somebody else signed, and says so", async () => {
	const own = channelOf("principal");
	const events: ClientEvent[] = [];
	const forged = createTicketKey("not the cell's secret");
	const connection = connect(near.environment.FANOUT_CLIENT_API, {
		ticket: () => issueTicket(forged, { namespace, tenant, channels: [own.key] }, systemClock),
		channels: [own.key],
		onMessage: () => undefined,
		onEvent: (event) => events.push(event),
	});
	open.push(connection);
	const limit = Date.now() + WAIT_MS;
	while (events.filter(({ type }) => type === "lost").length < 2 && Date.now() < limit) {
		await new Promise((resolve) => setTimeout(resolve, 10));
	}
	expect(events.every(({ type }) => type === "lost")).toBe(true);
	expect(events.length).toBeGreaterThanOrEqual(2);
});
