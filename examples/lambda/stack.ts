import { CfnOutput, Duration, Stack, type StackProps } from "aws-cdk-lib";
import { Architecture, FunctionUrlAuthType, InvokeMode, Runtime } from "aws-cdk-lib/aws-lambda";
import { NodejsFunction, OutputFormat } from "aws-cdk-lib/aws-lambda-nodejs";
import type { Construct } from "constructs";
import { FanoutLayer } from "mcp-fanout-cdk";

const ROOT = `${import.meta.dirname}/../..`;

export interface McpServerStackProps extends StackProps {
	/** `<environment>-fanout`: the cell of this region that the server belongs to. */
	readonly prefix: string;
	/** An emulator's callers have no identity, and it streams no answers. @default false */
	readonly emulated?: boolean;
}

/** An MCP server of your own, beside a cell that is there already. */
export class McpServerStack extends Stack {
	constructor(scope: Construct, id: string, { prefix, emulated = false, ...props }: McpServerStackProps) {
		super(scope, id, props);
		const server = new NodejsFunction(this, "Server", {
			entry: `${import.meta.dirname}/handler.ts`,
			projectRoot: ROOT,
			depsLockFilePath: `${ROOT}/package-lock.json`,
			runtime: Runtime.NODEJS_24_X,
			architecture: Architecture.ARM_64,
			memorySize: 512,
			// How long a stream is held at most; its client comes back by itself.
			timeout: Duration.minutes(5),
			bundling: {
				format: OutputFormat.CJS,
				externalModules: ["mcp-fanout", "@aws-sdk/*"],
				forceDockerBundling: false,
			},
		});
		FanoutLayer.fromParameters(this, "Fanout", { prefix }).attach(server, { listen: true, sessions: true });

		const { url } = server.addFunctionUrl({
			// Callers sign their requests: an example must not stand open to the world.
			authType: emulated ? FunctionUrlAuthType.NONE : FunctionUrlAuthType.AWS_IAM,
			invokeMode: emulated ? InvokeMode.BUFFERED : InvokeMode.RESPONSE_STREAM,
		});
		new CfnOutput(this, "Url", { value: url });
		new CfnOutput(this, "FunctionName", { value: server.functionName });
	}
}
