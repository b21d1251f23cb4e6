import { Duration, RemovalPolicy } from "aws-cdk-lib";
import {
	AccessLogField,
	AccessLogFormat,
	AuthorizationType,
	EndpointType,
	IdentitySource,
	LambdaIntegration,
	LogGroupLogDestination,
	type Method,
	RequestAuthorizer,
	ResponseTransferMode,
	ResponseType,
	RestApi,
} from "aws-cdk-lib/aws-apigateway";
import type { IFunction } from "aws-cdk-lib/aws-lambda";
import { LogGroup, type RetentionDays } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import { type EnvironmentConfig, prefixOf } from "../config/environment.ts";

export interface EventStreamProps {
	readonly config: EnvironmentConfig;
	readonly logRetention: RetentionDays;
	readonly authorize: IFunction;
	readonly stream: IFunction;
}

/** As long as an answer may stream; the regional endpoint lets it be silent for five minutes of them. */
export const STREAM_TIMEOUT = Duration.minutes(15);

/**
 * Server-sent events for those who cannot use a WebSocket: `GET /events` with a ticket as bearer token, streamed. An
 * authorizer of its own decides before the function that holds streams is asked.
 */
export class EventStream extends Construct {
	readonly api: RestApi;
	readonly methods: readonly Method[];
	readonly url: string;

	constructor(scope: Construct, id: string, { config, logRetention, authorize, stream }: EventStreamProps) {
		super(scope, id);
		this.api = new RestApi(this, "Api", {
			// CloudWatch knows an API by its name: another environment's must not count as this one's.
			restApiName: `${prefixOf(config)}-events`,
			description: `${config.name}: server-sent events for end clients, authorised by ticket`,
			endpointTypes: [EndpointType.REGIONAL],
			// The account's, which no app should own.
			cloudWatchRole: false,
			deployOptions: {
				stageName: "live",
				throttlingRateLimit: config.throttle.rateLimit,
				throttlingBurstLimit: config.throttle.burstLimit,
				tracingEnabled: config.tracing,
				...(config.accessLogs ? accessLogs(this, logRetention) : {}),
			},
			defaultCorsPreflightOptions: {
				allowOrigins: ["*"],
				allowMethods: ["GET"],
				allowHeaders: ["Authorization", "Last-Event-ID", "Cache-Control", "Pragma"],
				maxAge: Duration.hours(2),
			},
		});
		// A browser shows a refusal to nobody unless it may.
		for (const type of [ResponseType.DEFAULT_4XX, ResponseType.DEFAULT_5XX]) {
			this.api.addGatewayResponse(String(type.responseType), {
				type,
				responseHeaders: { "Access-Control-Allow-Origin": "'*'" },
			});
		}
		const events = this.api.root.addResource("events");
		const get = events.addMethod(
			"GET",
			new LambdaIntegration(stream, {
				responseTransferMode: ResponseTransferMode.STREAM,
				timeout: STREAM_TIMEOUT,
				allowTestInvoke: false,
			}),
			{
				authorizationType: AuthorizationType.CUSTOM,
				authorizer: new RequestAuthorizer(this, "Ticket", {
					handler: authorize,
					identitySources: [IdentitySource.header("Authorization")],
					// A remembered answer would name the first request's resource only, and outlive its ticket.
					resultsCacheTtl: Duration.seconds(0),
				}),
			},
		);
		this.methods = [get];
		this.url = this.api.urlForPath("/events");
	}
}

/** Who came and what became of it; nothing that was said. */
function accessLogs(scope: Construct, retention: RetentionDays) {
	const group = new LogGroup(scope, "Access", { retention, removalPolicy: RemovalPolicy.DESTROY });
	const format = {
		requestId: AccessLogField.contextRequestId(),
		requestTime: AccessLogField.contextRequestTime(),
		method: AccessLogField.contextHttpMethod(),
		path: AccessLogField.contextResourcePath(),
		status: AccessLogField.contextStatus(),
	};
	return {
		accessLogDestination: new LogGroupLogDestination(group),
		accessLogFormat: AccessLogFormat.custom(JSON.stringify(format)),
	};
}
