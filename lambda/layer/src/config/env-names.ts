/**
 * The environment variables by which a cell (the stacks of one region) tells a process where everything is.
 * `FanoutLayer.attach` and the stacks write them, the package and the handlers read them: one spelling for both.
 */
export const ENV = {
	/** `cluster_id`: the namespace of every channel. */
	namespace: "FANOUT_NAMESPACE",
	/** Name of the regional log table. */
	logTable: "FANOUT_LOG_TABLE",
	/** Name of the regional connections table. */
	connectionsTable: "FANOUT_CONNECTIONS_TABLE",
	/** Name of the global sessions table. */
	sessionsTable: "FANOUT_SESSIONS_TABLE",
	/** Name of the regional table of the session registry: which instance owns which session. */
	ownersTable: "FANOUT_OWNERS_TABLE",
	/** ARN of the own region's standard topic for shared channels. */
	topicArn: "FANOUT_TOPIC_ARN",
	/** Name of the mailbox FIFO queue, the same in every region. */
	mailboxName: "FANOUT_MAILBOX_NAME",
	/** Comma-separated regions of this environment, the own one included. */
	regions: "FANOUT_REGIONS",
	/** wss:// address of the IAM WebSocket API, for back ends. */
	backendApi: "FANOUT_BACKEND_API",
	/** wss:// address of the ticket WebSocket API, for end clients. */
	clientApi: "FANOUT_CLIENT_API",
	/** @connections endpoint of the IAM WebSocket API. */
	backendCallback: "FANOUT_BACKEND_CALLBACK",
	/** @connections endpoint of the ticket WebSocket API. */
	clientCallback: "FANOUT_CLIENT_CALLBACK",
	/** URL of the standard queue for what cannot be decoded. */
	errorQueueUrl: "FANOUT_ERROR_QUEUE_URL",
	/** URL of the standard queue that leads into the mailbox. */
	relayQueueUrl: "FANOUT_RELAY_QUEUE_URL",
	/** URL of the FIFO queue of shards: what is posted to large audiences, apart from the mailbox. */
	shardQueueUrl: "FANOUT_SHARD_QUEUE_URL",
	/** Posts per second of one shard worker: the region's budget, divided by the workers. */
	shardRate: "FANOUT_SHARD_RATE",
	/** Secret that the ticket key is derived from. */
	ticketSecret: "FANOUT_TICKET_SECRET",
	/** How long the log keeps entries, in seconds. */
	retentionSeconds: "FANOUT_RETENTION_SECONDS",
} as const;

export type EnvName = (typeof ENV)[keyof typeof ENV];
