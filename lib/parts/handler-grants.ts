import { TableGrants } from "aws-cdk-lib/aws-dynamodb";
import { QueueGrants } from "aws-cdk-lib/aws-sqs";
import { type FanoutCell, grantListen, grantPublish, grantTickets } from "mcp-fanout-cdk";
import type { StateStack } from "../stacks/state.ts";
import type { Handlers } from "./handlers.ts";
import type { Messaging } from "./messaging.ts";
import type { Sockets } from "./sockets.ts";

const GET = "dynamodb:GetItem";
const QUERY = "dynamodb:Query";
/** Rows of a connection are written and removed in batches. */
const BATCH = "dynamodb:BatchWriteItem";
const PUT = "dynamodb:PutItem";
const UPDATE = "dynamodb:UpdateItem";

export interface HandlerGrantsProps {
	readonly handlers: Handlers;
	readonly state: StateStack;
	readonly messaging: Messaging;
	readonly sockets: Sockets;
	readonly cell: FanoutCell;
}

/** Who may do what: each handler exactly what it does, so that this file reads as the cell's table of rights. */
export function grantHandlers({ handlers, state, messaging, sockets, cell }: HandlerGrantsProps): void {
	const connections = TableGrants.fromTable(state.connectionsTable);
	const log = TableGrants.fromTable(state.logTable);
	const sessions = TableGrants.fromTable(state.sessionsTable);
	const errors = QueueGrants.fromQueue(messaging.errors);

	grantTickets(cell, handlers.authorize);

	connections.actions(handlers.connect, PUT);
	connections.actions(handlers.disconnect, QUERY, BATCH);

	// Counts an end client's reads.
	connections.actions(handlers.subscribe, GET, QUERY, BATCH, PUT, UPDATE);
	// Keeps the end of a quiet log that is followed.
	log.actions(handlers.subscribe, QUERY, UPDATE);
	sessions.actions(handlers.subscribe, QUERY, PUT);
	grantTickets(cell, handlers.subscribe);
	sockets.grantManageConnections(handlers.subscribe);

	log.actions(handlers.deliver, QUERY, PUT);
	connections.actions(handlers.deliver, QUERY, BATCH);
	errors.sendMessages(handlers.deliver);
	sockets.grantManageConnections(handlers.deliver);
	// A session that moved takes what was on its way to its new home.
	sessions.actions(handlers.deliver, QUERY);
	for (const mailbox of cell.mailboxes) QueueGrants.fromQueue(mailbox).sendMessages(handlers.deliver);
	// What its home cannot take goes round, and comes again later.
	QueueGrants.fromQueue(messaging.relay).sendMessages(handlers.deliver);
	QueueGrants.fromQueue(messaging.shards.queue).sendMessages(handlers.deliver);

	log.actions(handlers.shard, QUERY);
	connections.actions(handlers.shard, GET, QUERY, BATCH);
	errors.sendMessages(handlers.shard);
	sockets.grantManageConnections(handlers.shard);

	QueueGrants.fromQueue(messaging.mailbox.queue).sendMessages(handlers.relay);
	errors.sendMessages(handlers.relay);

	grantPublish(cell, handlers.ingest);

	grantListen(cell, handlers.stream);

	connections.actions(handlers.sync, QUERY, BATCH);
	sessions.actions(handlers.sync, QUERY);
	log.actions(handlers.sync, QUERY);
	for (const mailbox of cell.mailboxes) QueueGrants.fromQueue(mailbox).sendMessages(handlers.sync);
	sockets.grantManageConnections(handlers.sync);
}
