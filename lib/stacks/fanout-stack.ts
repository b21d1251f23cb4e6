import { RemovalPolicy, Stack } from "aws-cdk-lib";
import { RetentionDays } from "aws-cdk-lib/aws-logs";
import type { Construct } from "constructs";
import { type CellNames, cellNames } from "mcp-fanout-cdk";
import { type EmulatorOptions, type EnvironmentConfig, prefixOf } from "../config/environment.ts";

export interface FanoutStackProps {
	readonly config: EnvironmentConfig;
	readonly region: string;
	readonly description: string;
	/** Set when the target is an emulator. */
	readonly emulator?: EmulatorOptions;
}

/** A stack of one environment in one region: `<environment>-fanout-<region>-<part>`. */
export class FanoutStack extends Stack {
	readonly config: EnvironmentConfig;
	/** The region as a plain string, since `region` may be a token. */
	readonly place: string;
	readonly prefix: string;
	readonly names: CellNames;
	readonly emulator: EmulatorOptions | undefined;

	constructor(scope: Construct, part: string, props: FanoutStackProps) {
		const { config, region } = props;
		super(scope, `${prefixOf(config)}-${region}-${part}`, {
			env: { region, ...(config.account === undefined ? {} : { account: config.account }) },
			description: props.description,
			terminationProtection: config.protectState,
			tags: { "mcp-fanout:environment": config.name },
		});
		this.config = config;
		this.place = region;
		this.prefix = prefixOf(config);
		this.names = cellNames(this.prefix);
		this.emulator = props.emulator;
	}

	/** For tables and secrets: an environment that protects its state keeps them when a stack goes. */
	protected get stateRemoval(): RemovalPolicy {
		return this.config.protectState ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY;
	}

	get logRetention(): RetentionDays {
		const days = this.config.logRetentionDays;
		if (!(days in RetentionDays)) throw new Error(`logRetentionDays ${days} is not a retention that CloudWatch offers`);
		return days;
	}
}
