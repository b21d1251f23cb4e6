/** What one environment is: a set of regions, each with a complete cell, under one name. */
export interface EnvironmentConfig {
	/** Names and stack ids start with `<name>-fanout`. */
	readonly name: string;
	/** @default the account of the credentials at deploy time */
	readonly account?: string;
	/** Owns the `sessions` table and its replicas. One of `regions`. */
	readonly primaryRegion: string;
	/** Once deployed, one more or one less at a time: CloudFormation changes one replica of a table in an update. */
	readonly regions: readonly string[];
	/** Namespace (`cluster_id`) of every channel. */
	readonly namespace: string;
	/** How long a region's log keeps entries. */
	readonly retentionSeconds: number;
	/** How long CloudWatch keeps the functions' logs. */
	readonly logRetentionDays: number;
	/** Tables outlive their stacks, stacks refuse deletion, tables have point-in-time recovery. */
	readonly protectState: boolean;
	/**
	 * Concurrency kept for `deliver`, so that nothing else in the account starves it. Not set in small accounts: AWS refuses a
	 * reservation that leaves fewer than 100 unreserved.
	 */
	readonly deliverReservedConcurrency?: number;
	/** Workers that post to the shards of broadcast channels, at once; reserved for them where `deliver` has a reservation. */
	readonly shardWorkers: number;
	/**
	 * Posts per second of all of them: a part of what API Gateway lets the account do in a region (10,000 requests/s, 2,500 in
	 * newer regions), which everything else shares.
	 */
	readonly postsPerSecond: number;
	/** The most streams of server-sent events at once, and concurrency kept for them: each takes one while it is held. */
	readonly streamReservedConcurrency?: number;
	/** At most so many relays at once; shared channels do not need more than the mailbox takes. */
	readonly relayMaxConcurrency: number;
	/** Per WebSocket API; the account's 10,000 requests/s are shared with everything else in the region. */
	readonly throttle: { readonly rateLimit: number; readonly burstLimit: number };
	/** Access logs of the WebSocket APIs. The account needs API Gateway's CloudWatch role, which no app should own. */
	readonly accessLogs: boolean;
	/** X-Ray tracing of the functions. */
	readonly tracing: boolean;
	/** Deploy the example MCP server. */
	readonly exampleServer: boolean;
	/** Where alarms go, if anywhere. @default alarms without an action */
	readonly alarmEmail?: string;
}

/**
 * What stands in for what an AWS emulator's CloudFormation leaves out. Absent for a real account.
 * Templates carry `{apiId}` and `{stage}`, or `{urlId}`.
 */
export interface EmulatorOptions {
	readonly socketTemplate?: string;
	readonly callbackTemplate?: string;
	readonly functionUrlTemplate?: string;
}

export function prefixOf(config: EnvironmentConfig): string {
	return `${config.name}-fanout`;
}
