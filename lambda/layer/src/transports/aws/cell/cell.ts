/**
 * A cell's parts for its handlers, made from the environment once per container, each when first used: a function
 * needs only the variables (and the grants) of what it does.
 */

import { ENV, type EnvName } from "../../../config/env-names.ts";
import { type Clock, systemClock } from "../../../core/clock.ts";
import { FanoutError } from "../../../core/errors.ts";
import { createIds } from "../../../core/ids.ts";
import type { Transport } from "../../../core/transport.ts";
import { createHome, type Home } from "../home.ts";
import { createLog, DEFAULT_RETENTION_SECONDS, type Log } from "../log.ts";
import { type AwsClients, createAwsClients } from "../sdk.ts";
import { loadTicketKey, type TicketKey } from "../ticket.ts";
import { createAwsTransport } from "../transport.ts";
import { type Connections, createConnections } from "./connections.ts";
import { createDetour, type Detour } from "./detour.ts";
import type { MailboxMessage } from "./mailbox.ts";
import { createPoster, type Poster } from "./poster.ts";
import { createQueues, type Queues } from "./queues.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Cell {
	readonly region: string;
	readonly clock: Clock;
	/** A number in [0, 1). */
	random(): number;
	readonly namespace: string;
	readonly clients: AwsClients;
	readonly log: Log;
	readonly home: Home;
	readonly connections: Connections;
	readonly poster: Poster;
	readonly queues: Queues;
	readonly detour: Detour;
	/** Posts per second of one shard worker. */
	readonly shardRate: number;
	/** At most ten messages to a region's mailbox; returns the indexes that were not taken. */
	sendTo(region: string, messages: readonly MailboxMessage[]): Promise<readonly number[]>;
	/** Publishes only: no invocation holds a connection. */
	readonly transport: Pick<Transport, "publish">;
	/** Whether an API id is the client API's, which only valid tickets enter. */
	isClientApi(apiId: string): boolean;
	key(): Promise<TicketKey>;
}

export function createCell(env: Environment = process.env, clock: Clock = systemClock): Cell {
	const need = (name: EnvName | "AWS_REGION"): string => {
		const value = env[name];
		if (value) return value;
		throw new FanoutError("ConfigInvalid", `the environment variable ${name} is not set`, { data: { name } });
	};
	const made = new Map<string, unknown>();
	const once = <Part>(name: string, make: () => Part): Part => {
		if (!made.has(name)) made.set(name, make());
		return made.get(name) as Part;
	};
	const queuesIn = (region: string): Queues =>
		once(`queues ${region}`, () =>
			createQueues({
				sqs: cell.clients.sqs(region),
				mailboxName: () => need(ENV.mailboxName),
				errorQueueUrl: () => need(ENV.errorQueueUrl),
				shardQueueUrl: () => need(ENV.shardQueueUrl),
				relayQueueUrl: () => need(ENV.relayQueueUrl),
			}),
		);
	const cell: Cell = {
		clock,
		random: Math.random,
		get region() {
			return need("AWS_REGION");
		},
		get namespace() {
			return need(ENV.namespace);
		},
		get clients() {
			return once("clients", () => createAwsClients({ region: need("AWS_REGION") }));
		},
		get log() {
			return once("log", () =>
				createLog({
					table: need(ENV.logTable),
					dynamo: cell.clients.dynamo(),
					retentionSeconds: Number(env[ENV.retentionSeconds] || DEFAULT_RETENTION_SECONDS),
					clock,
					random32: createIds(clock).random32,
				}),
			);
		},
		get home() {
			return once("home", () =>
				createHome({ table: need(ENV.sessionsTable), dynamo: cell.clients.dynamo(), region: cell.region, clock }),
			);
		},
		get connections() {
			return once("connections", () =>
				createConnections({ table: need(ENV.connectionsTable), dynamo: cell.clients.dynamo(), clock }),
			);
		},
		get poster() {
			const endpointOf = { backend: ENV.backendCallback, client: ENV.clientCallback };
			return once("poster", () => createPoster((api) => cell.clients.management(need(endpointOf[api]))));
		},
		get queues() {
			return queuesIn(cell.region);
		},
		get detour() {
			return once("detour", () => createDetour(clock, cell.queues.sendLater));
		},
		get shardRate() {
			return Number(need(ENV.shardRate));
		},
		sendTo: (region, messages) => queuesIn(region).sendMail(messages),
		get transport() {
			return once("transport", () => {
				const options = { environment: env, follow: false, clients: cell.clients };
				return createAwsTransport(options, { clock, ids: createIds(clock) });
			});
		},
		// A custom domain names no API id: claims alone then tell the two apart, and the client API never lacks them.
		isClientApi: (apiId) => env[ENV.clientCallback]?.includes(apiId) ?? false,
		key: () => loadTicketKey(cell.clients.secrets(), need(ENV.ticketSecret), clock),
	};
	return cell;
}
