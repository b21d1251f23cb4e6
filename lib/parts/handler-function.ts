import { join } from "node:path";
import { Duration, RemovalPolicy } from "aws-cdk-lib";
import { Metric } from "aws-cdk-lib/aws-cloudwatch";
import { Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { Architecture, RecursiveLoop, Runtime, Tracing } from "aws-cdk-lib/aws-lambda";
import { LogLevel, NodejsFunction, OutputFormat } from "aws-cdk-lib/aws-lambda-nodejs";
import { LogGroup, type RetentionDays } from "aws-cdk-lib/aws-logs";
import type { Construct } from "constructs";

const ROOT = join(import.meta.dirname, "..", "..");

const METRICS_NAMESPACE = "mcp-fanout";

/**
 * The Lambda runtime brings these; a partial copy of its own would make a function meet two versions. What they are made
 * of (`@smithy/*`) it does not offer to others, or not all of it.
 */
export const RUNTIME_MODULES = ["@aws-sdk/*"];

export interface HandlerFunctionProps {
	/** `lambda/handlers/<name>.ts` */
	readonly name: string;
	/** `<environment>-fanout`: two environments of one account and region must not count as one. */
	readonly prefix: string;
	readonly description: string;
	readonly timeout: Duration;
	readonly logRetention: RetentionDays;
	readonly tracing: boolean;
	/** @default 512 */
	readonly memorySize?: number;
	readonly reservedConcurrency?: number;
	/**
	 * Part of a loop of queues and functions that is meant: Lambda ends any other at its sixteenth lap, and drops what was
	 * on its way. https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
	 * @default false
	 */
	readonly mayLoop?: boolean;
	/** Modules left out of the bundle because a layer brings them. */
	readonly layerModules?: readonly string[];
}

/** One handler, bundled from source by the local esbuild. */
export class HandlerFunction extends NodejsFunction {
	readonly handlerName: string;
	readonly executionRole: Role;
	private readonly service: string;

	constructor(scope: Construct, id: string, props: HandlerFunctionProps) {
		const logGroup = new LogGroup(scope, `${id}Logs`, {
			retention: props.logRetention,
			removalPolicy: RemovalPolicy.DESTROY,
		});
		// Not the managed basic role, which may write to every log group of the account.
		const role = new Role(scope, `${id}Role`, { assumedBy: new ServicePrincipal("lambda.amazonaws.com") });
		logGroup.grants.write(role);
		const service = `${props.prefix}-${props.name}`;
		super(scope, id, {
			role,
			entry: join(ROOT, "lambda", "handlers", `${props.name}.ts`),
			projectRoot: ROOT,
			depsLockFilePath: join(ROOT, "package-lock.json"),
			description: props.description,
			runtime: Runtime.NODEJS_24_X,
			architecture: Architecture.ARM_64,
			timeout: props.timeout,
			memorySize: props.memorySize ?? 512,
			logGroup,
			tracing: props.tracing ? Tracing.ACTIVE : Tracing.DISABLED,
			environment: {
				POWERTOOLS_SERVICE_NAME: service,
				POWERTOOLS_METRICS_NAMESPACE: METRICS_NAMESPACE,
				POWERTOOLS_TRACE_ENABLED: String(props.tracing),
			},
			...(props.mayLoop === true ? { recursiveLoop: RecursiveLoop.ALLOW } : {}),
			...(props.reservedConcurrency === undefined ? {} : { reservedConcurrentExecutions: props.reservedConcurrency }),
			bundling: {
				// CommonJS: stock Node does not look for ES modules in NODE_PATH, so an `import` of the runtime's SDK would fail
				// wherever AWS's patched Node is not used.
				format: OutputFormat.CJS,
				target: "node24",
				minify: false,
				externalModules: [...RUNTIME_MODULES, ...(props.layerModules ?? [])],
				esbuildArgs: { "--conditions": "mcp-fanout-source" },
				define: { "import.meta.url": "__moduleUrl" },
				banner: "const __moduleUrl = require('node:url').pathToFileURL(__filename).href;",
				logLevel: LogLevel.WARNING,
				forceDockerBundling: false,
			},
		});
		this.handlerName = props.name;
		this.executionRole = role;
		this.service = service;
	}

	/** What the handler itself counts under this name, each minute. */
	counted(name: string): Metric {
		return new Metric({
			namespace: METRICS_NAMESPACE,
			metricName: name,
			dimensionsMap: { service: this.service },
			period: Duration.minutes(1),
			statistic: "Sum",
		});
	}
}
