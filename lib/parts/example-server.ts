import { Duration, Fn } from "aws-cdk-lib";
import { FunctionUrlAuthType, InvokeMode } from "aws-cdk-lib/aws-lambda";
import type { RetentionDays } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import type { FanoutLayer } from "mcp-fanout-cdk";
import { type EmulatorOptions, type EnvironmentConfig, prefixOf } from "../config/environment.ts";
import { HandlerFunction } from "./handler-function.ts";

export interface ExampleServerProps {
	readonly config: EnvironmentConfig;
	readonly logRetention: RetentionDays;
	readonly layer: FanoutLayer;
	readonly emulator: EmulatorOptions | undefined;
}

/**
 * An MCP server on Lambda that publishes from a tool call. It takes `mcp-fanout` from the layer and the MCP SDK from its own
 * bundle. Its URL asks for IAM: an example must not stand open to the world.
 */
export class ExampleServer extends Construct {
	readonly fn: HandlerFunction;
	readonly url: string;

	constructor(scope: Construct, id: string, props: ExampleServerProps) {
		super(scope, id);
		this.fn = new HandlerFunction(this, "Function", {
			name: "mcp-server",
			prefix: prefixOf(props.config),
			description: "Example MCP server: imports the layer, publishes from a tool call, holds listens",
			// How long a listen is held at most; its client comes back by itself.
			timeout: Duration.minutes(5),
			logRetention: props.logRetention,
			tracing: props.config.tracing,
			layerModules: ["mcp-fanout"],
		});
		props.layer.attach(this.fn, { listen: true });
		// The emulator enforces IAM here and nowhere else, streams no answers, and has function URLs only under a path of its
		// own address.
		const { url } = this.fn.addFunctionUrl(
			props.emulator === undefined
				? { authType: FunctionUrlAuthType.AWS_IAM, invokeMode: InvokeMode.RESPONSE_STREAM }
				: { authType: FunctionUrlAuthType.NONE },
		);
		const template = props.emulator?.functionUrlTemplate;
		this.url = template === undefined ? url : template.replaceAll("{urlId}", urlIdOf(url));
	}
}

/** `https://<id>.lambda-url.…` */
function urlIdOf(url: string): string {
	return Fn.select(0, Fn.split(".", Fn.select(1, Fn.split("://", url))));
}
