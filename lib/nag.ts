/**
 * cdk-nag's AwsSolutions pack over all stacks, and every finding that stays, with its reason. A finding that is not listed
 * here fails the synthesis.
 */
import { type App, Stack, Token, Validations } from "aws-cdk-lib";
import type { CfnApi } from "aws-cdk-lib/aws-apigatewayv2";
import { AwsSolutionsChecks } from "cdk-nag";
import type { IConstruct } from "constructs";
import type { FanoutWebSocketApi } from "mcp-fanout-cdk";
import { SOCKET_ACTIONS } from "mcp-fanout-cdk";
import type { HandlerFunction } from "./parts/handler-function.ts";
import type { DeliveryStack } from "./stacks/delivery.ts";
import type { CellStacks } from "./stages/environment-stacks.ts";

const REASONS = {
	routes: "API Gateway authorises a WebSocket on $connect only; every later frame belongs to an authorised connection",
	connections: "Connection ids are only known at run time; the grant ends at this API's stage and at @connections",
	accessLogs: "Access logs need an account-wide CloudWatch role, which a development environment must not own",
	tracing: "X-Ray's PutTraceSegments and PutTelemetryRecords take no resource",
	deadLetters: "The last station: what lies here is looked at by people, and an alarm rings for it",
	mailbox: "Setting one message aside would break its channel's order; undecodable ones go to the error queue instead",
	validation: "The one method is a GET without a body, and its authorizer reads the one header that it needs",
	firewall: "A ticket is asked for before anything else, and the stage throttles; a firewall is the account's to place",
	executionLogs: "Execution logs need an account-wide CloudWatch role, and would hold what streams say",
	tickets: "End clients show a ticket of the cell's own, which names the channels that they may follow",
	rotation: "Rotation would end every ticket at once; tickets live for minutes, and the secret is replaced by hand",
} as const;

/** Findings that are acceptable, each on the smallest construct that it concerns. */
export function applyNag(app: App, cells: readonly CellStacks[]): void {
	Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
	for (const { state, delivery, mesh } of cells) {
		acknowledgeQueues([...mesh.deadLetters, ...deadEnds(delivery)], REASONS.deadLetters);
		acknowledgeQueues([delivery.messaging.mailbox.queue, delivery.messaging.shards.queue], REASONS.mailbox);
		acknowledgeSockets(delivery);
		acknowledgeEvents(delivery);
		acknowledgeGrants(delivery);
		if (state.isPrimary) acknowledge(state.node.findChild("TicketSecret"), "SMG4", REASONS.rotation);
	}
}

function acknowledge(construct: IConstruct, rule: string, reason: string): void {
	Validations.of(construct).acknowledge({ id: `AwsSolutions-${rule}`, reason });
}

/** A queue without a dead-letter queue of its own. */
function acknowledgeQueues(queues: readonly IConstruct[], reason: string): void {
	for (const queue of queues) acknowledge(queue, "SQS3", reason);
}

function deadEnds({ messaging, events, syncDeadLetters }: DeliveryStack): readonly IConstruct[] {
	return [messaging.errors, messaging.relayDeadLetters, events.deadLetters, syncDeadLetters];
}

function acknowledgeSockets({ sockets, config }: DeliveryStack): void {
	for (const { api, stage } of [sockets.backend, sockets.client]) {
		for (const route of ["$disconnect", "$default", ...SOCKET_ACTIONS]) {
			acknowledge(api.node.findChild(`${route}-Route`), "APIG4", REASONS.routes);
		}
		if (!config.accessLogs) acknowledge(stage, "APIG1", REASONS.accessLogs);
	}
}

function acknowledgeEvents({ eventStream, config }: DeliveryStack): void {
	if (eventStream === undefined) return;
	const { api, methods } = eventStream;
	acknowledge(api, "APIG2", REASONS.validation);
	acknowledge(api.deploymentStage, "APIG3", REASONS.firewall);
	acknowledge(api.deploymentStage, "APIG6", REASONS.executionLogs);
	if (!config.accessLogs) acknowledge(api.deploymentStage, "APIG1", REASONS.accessLogs);
	for (const method of methods) acknowledge(method, "COG4", REASONS.tickets);
}

function acknowledgeGrants({ handlers, sockets, config }: DeliveryStack): void {
	const posting: readonly HandlerFunction[] = [handlers.subscribe, handlers.deliver, handlers.shard, handlers.sync];
	for (const fn of posting) {
		for (const socket of [sockets.backend, sockets.client]) {
			for (const verb of ["POST", "DELETE"]) {
				acknowledge(fn.executionRole, `IAM5[Resource::${connectionsFinding(socket, verb)}]`, REASONS.connections);
			}
		}
	}
	if (!config.tracing) return;
	for (const fn of handlers.all) acknowledge(fn.executionRole, "IAM5[Resource::*]", REASONS.tracing);
}

/** The ARN as cdk-nag writes it: references between angle brackets. */
function connectionsFinding({ api }: FanoutWebSocketApi, verb: string): string {
	const stack = Stack.of(api);
	const account = Token.isUnresolved(stack.account) ? "<AWS::AccountId>" : stack.account;
	const id = stack.getLogicalId(api.node.defaultChild as CfnApi);
	return `arn:<AWS::Partition>:execute-api:${stack.region}:${account}:<${id}>/live/${verb}/@connections/*`;
}
