import { ArnFormat, Stack } from "aws-cdk-lib";
import { AccessLogFormat } from "aws-cdk-lib/aws-apigateway";
import type { IWebSocketRouteAuthorizer } from "aws-cdk-lib/aws-apigatewayv2";
import { LogGroupLogDestination, WebSocketApi, WebSocketStage } from "aws-cdk-lib/aws-apigatewayv2";
import { WebSocketLambdaIntegration } from "aws-cdk-lib/aws-apigatewayv2-integrations";
import type { IGrantable } from "aws-cdk-lib/aws-iam";
import { Grant } from "aws-cdk-lib/aws-iam";
import type { IFunction } from "aws-cdk-lib/aws-lambda";
import type { ILogGroup } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";

/** What a client may ask over its connection; everything else reaches `subscribe` by `$default` and is refused there. */
export const SOCKET_ACTIONS = ["subscribe", "unsubscribe", "ping", "read", "renew"] as const;

const STAGE = "live";

export interface FanoutWebSocketApiProps {
	readonly description: string;
	/** A WebSocket API authorises on `$connect` only, and in one way: two kinds of client need two APIs. */
	readonly authorizer: IWebSocketRouteAuthorizer;
	readonly connect: IFunction;
	readonly disconnect: IFunction;
	/** Answers every action by PostToConnection; its own response is empty. */
	readonly subscribe: IFunction;
	readonly throttle: { readonly rateLimit: number; readonly burstLimit: number };
	/** Access logs; the account needs API Gateway's CloudWatch role in this region. @default none */
	readonly accessLogs?: ILogGroup;
	/** Address for clients with `{apiId}` and `{stage}`, where the real one cannot be used. @default the API's own */
	readonly socketTemplate?: string;
	/** Management endpoint with `{apiId}` and `{stage}`, where the real one cannot be used. @default the API's own */
	readonly callbackTemplate?: string;
}

/** One WebSocket API of a cell: routes chosen by `action`, the same handlers behind both. */
export class FanoutWebSocketApi extends Construct {
	readonly api: WebSocketApi;
	readonly stage: WebSocketStage;
	/** `wss://…/live`: what a client dials. */
	readonly url: string;
	/** `https://…/live`: where PostToConnection goes. */
	readonly callbackUrl: string;
	/** The ARN that a back end needs `execute-api:Invoke` on. */
	readonly connectArn: string;

	constructor(scope: Construct, id: string, props: FanoutWebSocketApiProps) {
		super(scope, id);
		const subscribe = new WebSocketLambdaIntegration("Subscribe", props.subscribe);
		this.api = new WebSocketApi(this, "Api", {
			description: props.description,
			routeSelectionExpression: "$request.body.action",
			connectRouteOptions: {
				authorizer: props.authorizer,
				integration: new WebSocketLambdaIntegration("Connect", props.connect),
			},
			disconnectRouteOptions: { integration: new WebSocketLambdaIntegration("Disconnect", props.disconnect) },
			defaultRouteOptions: { integration: subscribe },
		});
		for (const action of SOCKET_ACTIONS) this.api.addRoute(action, { integration: subscribe });

		this.stage = new WebSocketStage(this, "Stage", {
			webSocketApi: this.api,
			stageName: STAGE,
			autoDeploy: true,
			throttle: props.throttle,
			...(props.accessLogs === undefined
				? {}
				: {
						accessLogSettings: { destination: new LogGroupLogDestination(props.accessLogs), format: accessLogFormat() },
					}),
		});
		this.url = this.fill(props.socketTemplate) ?? this.stage.url;
		this.callbackUrl = this.fill(props.callbackTemplate) ?? this.stage.callbackUrl;
		this.connectArn = this.executeArn("$connect");
	}

	/** Lets `grantee` post to, and close, the connections of this API. */
	grantManageConnections(grantee: IGrantable): Grant {
		return Grant.addToPrincipal({
			grantee,
			actions: ["execute-api:ManageConnections"],
			// The connection ids behind @connections are only known at run time.
			resourceArns: [`${this.executeArn("POST")}/@connections/*`, `${this.executeArn("DELETE")}/@connections/*`],
		});
	}

	private executeArn(resource: string): string {
		return Stack.of(this).formatArn({
			service: "execute-api",
			resource: this.api.apiId,
			resourceName: `${STAGE}/${resource}`,
			arnFormat: ArnFormat.SLASH_RESOURCE_NAME,
		});
	}

	private fill(template: string | undefined): string | undefined {
		return template?.replaceAll("{apiId}", this.api.apiId).replaceAll("{stage}", STAGE);
	}
}

/** Who and how long, never what: query strings and headers may hold tickets. */
function accessLogFormat(): AccessLogFormat {
	return AccessLogFormat.custom(
		JSON.stringify({
			requestId: "$context.requestId",
			connectionId: "$context.connectionId",
			eventType: "$context.eventType",
			routeKey: "$context.routeKey",
			status: "$context.status",
			requestTime: "$context.requestTime",
		}),
	);
}
