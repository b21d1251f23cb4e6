import { RegionInfo } from "aws-cdk-lib/region-info";
import type { EnvironmentConfig } from "./environment.ts";

const DAY_SECONDS = 24 * 60 * 60;

/** The environments of this app, by name: `-c env=<name>`. */
export const ENVIRONMENTS = {
	dev: {
		name: "dev",
		primaryRegion: "us-east-1",
		regions: ["us-east-1", "eu-west-1"],
		namespace: "dev",
		retentionSeconds: DAY_SECONDS,
		logRetentionDays: 7,
		protectState: false,
		relayMaxConcurrency: 10,
		shardWorkers: 2,
		postsPerSecond: 500,
		throttle: { rateLimit: 500, burstLimit: 250 },
		accessLogs: false,
		tracing: false,
		exampleServer: true,
	},
	prod: {
		name: "prod",
		primaryRegion: "us-east-1",
		regions: ["us-east-1", "eu-west-1"],
		namespace: "prod",
		retentionSeconds: DAY_SECONDS,
		logRetentionDays: 90,
		protectState: true,
		deliverReservedConcurrency: 100,
		streamReservedConcurrency: 100,
		relayMaxConcurrency: 50,
		shardWorkers: 8,
		postsPerSecond: 4000,
		throttle: { rateLimit: 5000, burstLimit: 2500 },
		accessLogs: true,
		tracing: true,
		exampleServer: false,
	},
} as const satisfies Readonly<Record<string, EnvironmentConfig>>;

/** The named environment, checked. */
export function environmentConfig(name: string): EnvironmentConfig {
	const known: Readonly<Record<string, EnvironmentConfig>> = ENVIRONMENTS;
	const config = Object.hasOwn(known, name) ? known[name] : undefined;
	if (config === undefined) {
		throw new Error(`no environment "${name}"; lib/config/environments.ts knows ${Object.keys(known).join(", ")}`);
	}
	return checkEnvironment(config);
}

export function checkEnvironment(config: EnvironmentConfig): EnvironmentConfig {
	const { name, regions, primaryRegion, retentionSeconds, shardWorkers, postsPerSecond } = config;
	if (!/^(?!aws|ssm)[a-z][a-z0-9-]{0,19}$/.test(name)) {
		throw new Error(
			`environment name "${name}": allowed are 1-20 of a-z, 0-9 and -, a letter first, and not aws or ssm, which SSM refuses`,
		);
	}
	if (new Set(regions).size !== regions.length) throw new Error(`environment "${name}": regions repeat`);
	if (!regions.includes(primaryRegion)) {
		throw new Error(`environment "${name}": primaryRegion ${primaryRegion} is not among ${regions.join(", ")}`);
	}
	// RegionInfo follows AWS's list of opt-in regions. SNS: "from opt-in regions to other opt-in regions is not supported",
	// https://docs.aws.amazon.com/sns/latest/dg/sns-cross-region-delivery.html
	const optIn = regions.filter((region) => RegionInfo.get(region).isOptInRegion);
	if (optIn.length > 1) {
		throw new Error(
			`environment "${name}": at most one opt-in region, found ${optIn.join(", ")}: SNS does not deliver between them`,
		);
	}
	if (!Number.isInteger(retentionSeconds) || retentionSeconds < 60) {
		throw new Error(
			`environment "${name}": retentionSeconds must be an integer of at least 60, found ${retentionSeconds}`,
		);
	}
	// AWS takes no event source of fewer than two at once.
	if (!Number.isInteger(shardWorkers) || shardWorkers < 2) {
		throw new Error(`environment "${name}": shardWorkers must be an integer of at least 2, found ${shardWorkers}`);
	}
	if (!Number.isInteger(postsPerSecond) || postsPerSecond < shardWorkers) {
		throw new Error(
			`environment "${name}": postsPerSecond must be an integer of at least shardWorkers, found ${postsPerSecond}`,
		);
	}
	return config;
}
