import { RemovalPolicy } from "aws-cdk-lib";
import { WebSocketIamAuthorizer, WebSocketLambdaAuthorizer } from "aws-cdk-lib/aws-apigatewayv2-authorizers";
import type { IGrantable } from "aws-cdk-lib/aws-iam";
import type { IFunction } from "aws-cdk-lib/aws-lambda";
import { LogGroup, type RetentionDays } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import { FanoutWebSocketApi, type FanoutWebSocketApiProps } from "mcp-fanout-cdk";
import type { EmulatorOptions, EnvironmentConfig } from "../config/environment.ts";

export interface SocketsProps {
	readonly config: EnvironmentConfig;
	readonly logRetention: RetentionDays;
	readonly emulator: EmulatorOptions | undefined;
}

export interface SocketHandlers {
	readonly authorize: IFunction;
	readonly connect: IFunction;
	readonly disconnect: IFunction;
	readonly subscribe: IFunction;
}

/**
 * The two doors of a region: IAM for back ends, tickets for end clients. Made in two steps, since the handlers' environment
 * names the APIs and the APIs' routes name the handlers.
 */
export class Sockets extends Construct {
	readonly backend: FanoutWebSocketApi;
	readonly client: FanoutWebSocketApi;

	constructor(scope: Construct, id: string, props: SocketsProps, handlers: SocketHandlers) {
		super(scope, id);
		const { config, emulator } = props;
		const common: Omit<FanoutWebSocketApiProps, "description" | "authorizer"> = {
			connect: handlers.connect,
			disconnect: handlers.disconnect,
			subscribe: handlers.subscribe,
			throttle: config.throttle,
			...(emulator?.socketTemplate === undefined ? {} : { socketTemplate: emulator.socketTemplate }),
			...(emulator?.callbackTemplate === undefined ? {} : { callbackTemplate: emulator.callbackTemplate }),
		};
		this.backend = new FanoutWebSocketApi(this, "Backend", {
			...common,
			description: `${config.name}: back ends, authorised by IAM`,
			authorizer: new WebSocketIamAuthorizer(),
			...this.accessLogs("BackendAccess", props),
		});
		this.client = new FanoutWebSocketApi(this, "Client", {
			...common,
			description: `${config.name}: end clients, authorised by ticket`,
			// A browser cannot set another header on a WebSocket handshake.
			authorizer: new WebSocketLambdaAuthorizer("Ticket", handlers.authorize, {
				identitySource: ["route.request.header.Sec-WebSocket-Protocol"],
			}),
			...this.accessLogs("ClientAccess", props),
		});
	}

	grantManageConnections(grantee: IGrantable): void {
		this.backend.grantManageConnections(grantee);
		this.client.grantManageConnections(grantee);
	}

	private accessLogs(id: string, props: SocketsProps): { accessLogs?: LogGroup } {
		if (!props.config.accessLogs) return {};
		return {
			accessLogs: new LogGroup(this, id, { retention: props.logRetention, removalPolicy: RemovalPolicy.DESTROY }),
		};
	}
}
