import { Duration } from "aws-cdk-lib";
import type { RetentionDays } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import { type EnvironmentConfig, prefixOf } from "../config/environment.ts";
import { STREAM_TIMEOUT } from "./event-stream.ts";
import { HandlerFunction, type HandlerFunctionProps } from "./handler-function.ts";

/** A queue's visibility is six times its function's timeout: short ones keep a failed group's pause short. */
export const DELIVER_TIMEOUT = Duration.seconds(20);
export const RELAY_TIMEOUT = Duration.seconds(10);
/** What one shard's posts may take: at a worker's rate, the size of the audience that is posted to in one go. */
export const SHARD_TIMEOUT = Duration.seconds(30);
/** All that Lambda gives: what came for a session after it had moved is sent on one by one, perhaps across an ocean. */
const SYNC_TIMEOUT = Duration.minutes(15);
/** API Gateway waits 29 seconds for an integration. */
const SOCKET_TIMEOUT = Duration.seconds(15);

export interface HandlersProps {
	readonly config: EnvironmentConfig;
	readonly logRetention: RetentionDays;
}

/** The functions of one region's cell. */
export class Handlers extends Construct {
	readonly authorize: HandlerFunction;
	readonly connect: HandlerFunction;
	readonly disconnect: HandlerFunction;
	readonly subscribe: HandlerFunction;
	readonly deliver: HandlerFunction;
	readonly shard: HandlerFunction;
	readonly relay: HandlerFunction;
	readonly ingest: HandlerFunction;
	readonly sync: HandlerFunction;
	readonly stream: HandlerFunction;

	constructor(scope: Construct, id: string, props: HandlersProps) {
		super(scope, id);
		const { config, logRetention } = props;
		type Own = Omit<HandlerFunctionProps, "prefix" | "logRetention" | "tracing">;
		const common = { prefix: prefixOf(config), logRetention, tracing: config.tracing };
		const make = (handlerId: string, own: Own) => new HandlerFunction(this, handlerId, { ...common, ...own });

		this.authorize = make("Authorize", {
			name: "authorize",
			description: "Reads the ticket of an end client's handshake",
			timeout: Duration.seconds(10),
		});
		this.connect = make("Connect", {
			name: "connect",
			description: "Keeps a connection's claims",
			timeout: SOCKET_TIMEOUT,
		});
		this.disconnect = make("Disconnect", {
			name: "disconnect",
			description: "Forgets a connection",
			timeout: SOCKET_TIMEOUT,
		});
		this.subscribe = make("Subscribe", {
			name: "subscribe",
			description: "Answers what a client asks over its connection",
			timeout: SOCKET_TIMEOUT,
		});
		this.deliver = make("Deliver", {
			name: "deliver",
			description: "Appends to the log, then posts to the channel's connections, in order",
			timeout: DELIVER_TIMEOUT,
			memorySize: 1024,
			// What waits for a lost region goes round, by way of relay, every six minutes for as long as it is lost.
			mayLoop: true,
			...(config.deliverReservedConcurrency === undefined
				? {}
				: { reservedConcurrency: config.deliverReservedConcurrency }),
		});
		this.shard = make("Shard", {
			name: "shard",
			description: "Posts to the end clients of one shard of a broadcast channel, at its part of the budget",
			timeout: SHARD_TIMEOUT,
			memorySize: 1024,
			...(config.deliverReservedConcurrency === undefined ? {} : { reservedConcurrency: config.shardWorkers }),
		});
		this.relay = make("Relay", {
			name: "relay",
			description: "Takes shared channels' messages of every region into this region's mailbox",
			timeout: RELAY_TIMEOUT,
			mayLoop: true,
		});
		this.ingest = make("Ingest", {
			name: "ingest",
			description: "Makes notifications of events",
			timeout: Duration.seconds(15),
		});
		this.sync = make("Sync", {
			name: "sync",
			description: "Evicts sessions that another region claimed",
			timeout: SYNC_TIMEOUT,
		});
		this.stream = make("Stream", {
			name: "stream",
			description: "Holds an end client's server-sent events",
			timeout: STREAM_TIMEOUT,
			...(config.streamReservedConcurrency === undefined
				? {}
				: { reservedConcurrency: config.streamReservedConcurrency }),
		});
	}

	get all(): readonly HandlerFunction[] {
		return [
			this.authorize,
			this.connect,
			this.disconnect,
			this.subscribe,
			this.deliver,
			this.shard,
			this.relay,
			this.ingest,
			this.sync,
			this.stream,
		];
	}
}
