import { TableGrants } from "aws-cdk-lib/aws-dynamodb";
import { Grant, type IGrantable } from "aws-cdk-lib/aws-iam";
import { TopicGrants } from "aws-cdk-lib/aws-sns";
import { QueueGrants } from "aws-cdk-lib/aws-sqs";
import type { FanoutCell } from "./cell.ts";

/** Send to shared channels (the own topic) and to one session (its home's mailbox, wherever that is). */
export function grantPublish(cell: FanoutCell, grantee: IGrantable): void {
	TopicGrants.fromTopic(cell.topic).publish(grantee);
	for (const mailbox of cell.mailboxes) QueueGrants.fromQueue(mailbox).sendMessages(grantee);
	// A publisher looks up the home of a session, and claims it for its own region when there is none.
	TableGrants.fromTable(cell.sessionsTable).actions(grantee, "dynamodb:Query", "dynamodb:PutItem");
}

/** Connect as a back end, and read the log that it replays from. */
export function grantListen(cell: FanoutCell, grantee: IGrantable): void {
	TableGrants.fromTable(cell.logTable).actions(grantee, "dynamodb:Query");
	Grant.addToPrincipal({ grantee, actions: ["execute-api:Invoke"], resourceArns: [cell.backendConnectArn] });
}

/** Own sessions: claim, renew, read and count them in this region's registry. */
export function grantSessions(cell: FanoutCell, grantee: IGrantable): void {
	TableGrants.fromTable(cell.ownersTable).actions(
		grantee,
		"dynamodb:DeleteItem",
		"dynamodb:GetItem",
		"dynamodb:PutItem",
		"dynamodb:Query",
	);
}

/** Issue and verify tickets. */
export function grantTickets(cell: FanoutCell, grantee: IGrantable): void {
	cell.ticketSecret.grantRead(grantee);
}
