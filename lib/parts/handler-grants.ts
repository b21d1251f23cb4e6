import { TableGrants } from "aws-cdk-lib/aws-dynamodb";
import { QueueGrants } from "aws-cdk-lib/aws-sqs";
import { type FanoutCell, grantPublish, grantTickets } from "mcp-fanout-cdk";
import type { StateStack } from "../stacks/state.ts";
import type { Handlers } from "./handlers.ts";
import type { Messaging } from "./messaging.ts";
import type { Sockets } from "./sockets.ts";

const READ = ["dynamodb:GetItem", "dynamodb:Query"] as const;
const FORGET = ["dynamodb:DeleteItem", "dynamodb:BatchWriteItem"] as const;
const CLAIM = ["dynamodb:PutItem", "dynamodb:UpdateItem"] as const;

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

	connections.actions(handlers.connect, "dynamodb:PutItem");
	connections.actions(handlers.disconnect, ...READ, ...FORGET);

	connections.actions(handlers.subscribe, ...READ, ...FORGET, ...CLAIM);
	log.actions(handlers.subscribe, ...READ);
	sessions.actions(handlers.subscribe, ...READ, ...CLAIM);
	grantTickets(cell, handlers.subscribe);
	sockets.grantManageConnections(handlers.subscribe);

	log.actions(handlers.deliver, ...READ, "dynamodb:PutItem");
	connections.actions(handlers.deliver, ...READ, ...FORGET);
	errors.sendMessages(handlers.deliver);
	sockets.grantManageConnections(handlers.deliver);

	QueueGrants.fromQueue(messaging.mailbox.queue).sendMessages(handlers.relay);
	errors.sendMessages(handlers.relay);

	grantPublish(cell, handlers.ingest);

	connections.actions(handlers.sync, ...READ, ...FORGET);
	sessions.actions(handlers.sync, ...READ);
	sockets.grantManageConnections(handlers.sync);
}
