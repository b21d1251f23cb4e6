import { EventSourceMapping } from "aws-cdk-lib/aws-lambda";
import { QueueGrants } from "aws-cdk-lib/aws-sqs";
import type { Construct } from "constructs";
import { type FanoutCell, FanoutLayer } from "mcp-fanout-cdk";
import { cellOf } from "../parts/cell-of.ts";
import { EventStream } from "../parts/event-stream.ts";
import { Events } from "../parts/events.ts";
import { ExampleServer } from "../parts/example-server.ts";
import { grantHandlers } from "../parts/handler-grants.ts";
import { DELIVER_TIMEOUT, Handlers, RELAY_TIMEOUT, SHARD_TIMEOUT } from "../parts/handlers.ts";
import { Messaging, standardQueue } from "../parts/messaging.ts";
import { Parameters } from "../parts/parameters.ts";
import { Sockets } from "../parts/sockets.ts";
import { replicaStreamArn, SyncSource } from "../parts/sync-source.ts";
import { FanoutStack, type FanoutStackProps } from "./fanout-stack.ts";
import type { StateStack } from "./state.ts";

export interface DeliveryStackProps extends Omit<FanoutStackProps, "description"> {
	readonly state: StateStack;
	/** Another text than at the last deployment has the replica's stream looked up again. */
	readonly lookUp?: string;
	/** Where the layer's built package lies. @default resolved as a dependency */
	readonly layerPackage?: string;
}

/** One region's cell: queues, topic, functions, WebSocket APIs, bus, layer, parameters. Holds nothing that must outlive it. */
export class DeliveryStack extends FanoutStack {
	readonly messaging: Messaging;
	readonly handlers: Handlers;
	readonly sockets: Sockets;
	readonly events: Events;
	readonly cell: FanoutCell;
	readonly layer: FanoutLayer;
	/** Not on an emulator, whose REST API streams no answers; the function is there. */
	readonly eventStream: EventStream | undefined;
	readonly syncDeadLetters: ReturnType<typeof standardQueue>;

	constructor(scope: Construct, props: DeliveryStackProps) {
		super(scope, "delivery", { ...props, description: "mcp-fanout: the delivery cell of one region" });
		const { config, emulator, logRetention } = this;
		const { state } = props;

		this.messaging = new Messaging(this, "Messaging", {
			names: this.names,
			regions: config.regions,
			deliverTimeout: DELIVER_TIMEOUT,
			relayTimeout: RELAY_TIMEOUT,
			shardTimeout: SHARD_TIMEOUT,
		});
		this.handlers = new Handlers(this, "Handlers", { config, logRetention });
		this.sockets = new Sockets(this, "Sockets", { config, logRetention, emulator }, this.handlers);
		this.events = new Events(this, "Events", { busName: this.names.bus, ingest: this.handlers.ingest });
		this.syncDeadLetters = standardQueue(this, "SyncDeadLetters");

		this.cell = cellOf(this, {
			config,
			region: this.place,
			state,
			messaging: this.messaging,
			sockets: this.sockets,
		});
		for (const fn of this.handlers.all) {
			for (const [name, value] of Object.entries(this.cell.environment)) fn.addEnvironment(name, value);
		}
		grantHandlers({ ...this, state });
		this.connectSources(state, props.lookUp);

		const { authorize, stream } = this.handlers;
		this.eventStream =
			emulator === undefined
				? new EventStream(this, "EventStream", { config, logRetention, authorize, stream })
				: undefined;

		this.layer = new FanoutLayer(this, "Layer", {
			cell: this.cell,
			...(props.layerPackage === undefined ? {} : { packageDirectory: props.layerPackage }),
		});
		const example = config.exampleServer
			? new ExampleServer(this, "Example", { config, logRetention, layer: this.layer, emulator })
			: undefined;

		new Parameters(this, "Parameters", {
			prefix: this.prefix,
			environment: this.cell.environment,
			facts: {
				"layer-arn": this.layer.layer.layerVersionArn,
				"backend-api": this.sockets.backend.url,
				"backend-connect-arn": this.sockets.backend.connectArn,
				"client-api": this.sockets.client.url,
				"topic-arn": this.messaging.topic.topicArn,
				"mailbox-name": this.names.mailbox,
				"bus-name": this.names.bus,
				"ingest-arn": this.handlers.ingest.functionArn,
				"ingest-dead-letters-arn": this.events.deadLetters.queueArn,
				"sync-arn": this.handlers.sync.functionArn,
				...(this.eventStream === undefined ? {} : { "events-url": this.eventStream.url }),
				...(example === undefined ? {} : { "mcp-server-url": example.url }),
			},
		});
	}

	private connectSources(state: StateStack, lookUp: string | undefined): void {
		const { deliver, relay, shard, sync } = this.handlers;
		const reserved = this.config.deliverReservedConcurrency;
		// Pollers that ask for more are throttled, and what they hold comes back only after the visibility timeout.
		this.messaging.mailbox.connectDeliver(deliver, reserved === undefined ? {} : { maxConcurrency: reserved });
		// One message at a time: a batch mixes shards, and would have one worker post what several are there for.
		this.messaging.shards.connectDeliver(shard, { batchSize: 1, maxConcurrency: this.config.shardWorkers });

		QueueGrants.fromQueue(this.messaging.relay).consumeMessages(relay);
		new EventSourceMapping(this, "RelaySource", {
			target: relay,
			eventSourceArn: this.messaging.relay.queueArn,
			batchSize: 10,
			reportBatchItemFailures: true,
			maxConcurrency: this.config.relayMaxConcurrency,
		});

		// An emulator makes no replicas from a template: its deploy script adds the replica, then this event source by
		// CreateEventSourceMapping with SYNC_SOURCE's settings and the function of the parameter `sync-arn`.
		if (!state.isPrimary && this.emulator !== undefined) return;
		const streamArn =
			state.sessionsStreamArn ?? replicaStreamArn(this, this.names.sessions, this.place, this.logRetention, lookUp);
		new SyncSource(this, "SyncSource", { sync, streamArn, region: this.place, failures: this.syncDeadLetters });
	}
}
