import { Stack } from "aws-cdk-lib";
import { Queue } from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";
import { ENV } from "mcp-fanout/env-names";
import type { CellEnvironment, FanoutCell } from "mcp-fanout-cdk";
import type { EnvironmentConfig } from "../config/environment.ts";
import type { StateStack } from "../stacks/state.ts";
import type { Messaging } from "./messaging.ts";
import type { Sockets } from "./sockets.ts";

export interface CellProps {
	readonly config: EnvironmentConfig;
	readonly region: string;
	readonly state: StateStack;
	readonly messaging: Messaging;
	readonly sockets: Sockets;
}

/** The cell as the constructs package sees it: what a publisher or a back end in this region is told and granted. */
export function cellOf(scope: Construct, props: CellProps): FanoutCell {
	const { config, state, messaging, sockets } = props;
	const holder = new Construct(scope, "Mailboxes");
	const own = messaging.mailbox.queue;
	return {
		environment: cellEnvironment(props),
		logTable: state.logTable,
		sessionsTable: state.sessionsTable,
		ownersTable: state.ownersTable,
		topic: messaging.topic,
		// By name: a reference would tie the regions' stacks together.
		mailboxes: config.regions.map((region) =>
			region === props.region
				? own
				: Queue.fromQueueArn(
						holder,
						region,
						Stack.of(scope).formatArn({ service: "sqs", region, resource: state.names.mailbox }),
					),
		),
		backendConnectArn: sockets.backend.connectArn,
		ticketSecret: state.ticketSecret,
	};
}

function cellEnvironment({ config, state, messaging, sockets }: CellProps): CellEnvironment {
	return {
		[ENV.namespace]: config.namespace,
		[ENV.logTable]: state.logTable.tableName,
		[ENV.connectionsTable]: state.connectionsTable.tableName,
		[ENV.sessionsTable]: state.names.sessions,
		[ENV.ownersTable]: state.ownersTable.tableName,
		[ENV.topicArn]: messaging.topic.topicArn,
		[ENV.mailboxName]: state.names.mailbox,
		[ENV.regions]: config.regions.join(","),
		[ENV.backendApi]: sockets.backend.url,
		[ENV.clientApi]: sockets.client.url,
		[ENV.backendCallback]: sockets.backend.callbackUrl,
		[ENV.clientCallback]: sockets.client.callbackUrl,
		[ENV.errorQueueUrl]: messaging.errors.queueUrl,
		[ENV.relayQueueUrl]: messaging.relay.queueUrl,
		[ENV.shardQueueUrl]: messaging.shards.queue.queueUrl,
		[ENV.shardRate]: String(Math.floor(config.postsPerSecond / config.shardWorkers)),
		[ENV.ticketSecret]: state.names.ticketSecret,
		[ENV.retentionSeconds]: String(config.retentionSeconds),
	};
}
