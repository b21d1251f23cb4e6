import { RemovalPolicy, Stack } from "aws-cdk-lib";
import type { CfnFunction, Function as LambdaFunction } from "aws-cdk-lib/aws-lambda";
import { Architecture, Code, type ILayerVersion, LayerVersion, Runtime } from "aws-cdk-lib/aws-lambda";
import { Construct } from "constructs";
import type { EnvName } from "mcp-fanout/env-names";
import type { FanoutCell } from "./cell.ts";
import { grantListen, grantPublish, grantSessions, grantTickets } from "./grants.ts";
import { layLayerContent } from "./layer-content.ts";
import { cellFromParameters, layerFromParameters, type ParameterOptions } from "./parameters.ts";

export interface FanoutLayerProps {
	/** What the functions will be connected to. */
	readonly cell: FanoutCell;
	/** A layer that exists already. @default a new version is made from the built package */
	readonly layer?: ILayerVersion;
	/** Where the built package lies. @default resolved from this package */
	readonly packageDirectory?: string;
}

export interface AttachOptions {
	/** Send notifications. @default true */
	readonly publish?: boolean;
	/** Follow channels while an invocation holds a stream: connect as a back end, read the log. @default false */
	readonly listen?: boolean;
	/** MCP sessions of the 2025 era, and `fanout.sessions`: read and write this region's registry. @default false */
	readonly sessions?: boolean;
	/** Issue tickets for end clients. @default false */
	readonly tickets?: boolean;
}

/** The package as a Lambda layer. `attach(fn)` is all that a function needs: the layer, its environment and its grants. */
export class FanoutLayer extends Construct {
	/** The layer of a cell that other stacks deployed, found by its SSM parameters. */
	static fromParameters(scope: Construct, id: string, options: ParameterOptions): FanoutLayer {
		const holder = new Construct(scope, `${id}Parameters`);
		return new FanoutLayer(scope, id, {
			cell: cellFromParameters(holder, options),
			layer: layerFromParameters(holder, options),
		});
	}

	readonly layer: ILayerVersion;
	private readonly cell: FanoutCell;

	constructor(scope: Construct, id: string, props: FanoutLayerProps) {
		super(scope, id);
		this.cell = props.cell;
		this.layer =
			props.layer ??
			new LayerVersion(this, "Version", {
				description: "mcp-fanout: import it from ESM or CJS",
				code: Code.fromAsset(layLayerContent(props.packageDirectory)),
				compatibleRuntimes: [Runtime.NODEJS_24_X],
				compatibleArchitectures: [Architecture.ARM_64, Architecture.X86_64],
				// One that is deleted can be given to no function again, also not to another stack's that is rolled back to it.
				removalPolicy: RemovalPolicy.RETAIN,
			});
	}

	/** Adds the layer, the environment and the grants. A variable that the function sets itself is left as it is. */
	attach(fn: LambdaFunction, options: AttachOptions = {}): void {
		fn.addLayers(this.layer);
		const own = variablesOf(fn);
		const { environment } = this.cell;
		for (const name of Object.keys(environment) as EnvName[]) {
			if (!(name in own)) fn.addEnvironment(name, environment[name]);
		}
		if (options.publish ?? true) grantPublish(this.cell, fn);
		if (options.listen ?? false) grantListen(this.cell, fn);
		if (options.sessions ?? false) grantSessions(this.cell, fn);
		if (options.tickets ?? false) grantTickets(this.cell, fn);
	}
}

/** What the function already sets. `Function` keeps it to itself; the resource under it tells, if asked at this moment. */
function variablesOf(fn: LambdaFunction): Readonly<Record<string, unknown>> {
	const resource = fn.node.defaultChild as CfnFunction;
	const environment: unknown = Stack.of(fn).resolve(resource.environment);
	if (typeof environment !== "object" || environment === null || !("variables" in environment)) return {};
	return (environment.variables as Record<string, unknown> | undefined) ?? {};
}
