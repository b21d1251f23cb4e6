import type { ITableRef } from "aws-cdk-lib/aws-dynamodb";
import type { ISecret } from "aws-cdk-lib/aws-secretsmanager";
import type { ITopicRef } from "aws-cdk-lib/aws-sns";
import type { IQueueRef } from "aws-cdk-lib/aws-sqs";
import type { EnvName } from "mcp-fanout/env-names";

/** Every environment variable of a cell with its value. */
export type CellEnvironment = Readonly<Record<EnvName, string>>;

/** What one region's stacks offer to a function that publishes or listens there. */
export interface FanoutCell {
	readonly environment: CellEnvironment;
	readonly logTable: ITableRef;
	readonly sessionsTable: ITableRef;
	/** The session registry of this region: which instance owns which session. */
	readonly ownersTable: ITableRef;
	readonly topic: ITopicRef;
	/** The mailbox of every region: a publisher sends straight to the home of a session. */
	readonly mailboxes: readonly IQueueRef[];
	/** `execute-api` ARN of the `$connect` route of the back-end WebSocket API. */
	readonly backendConnectArn: string;
	readonly ticketSecret: Pick<ISecret, "grantRead">;
}
