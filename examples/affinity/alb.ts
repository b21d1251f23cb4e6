/**
 * A target group whose clients stay where they were, on an Application Load Balancer. The balancer makes its own cookie
 * when it sees ours in an answer, so instances need no label: createFanout({ …, affinity: {} }) is enough. An instance
 * that drains takes our cookie back and fails its health check; its clients are balanced anew.
 */
import { Duration } from "aws-cdk-lib";
import type { IVpc } from "aws-cdk-lib/aws-ec2";
import {
	ApplicationProtocol,
	ApplicationTargetGroup,
	type IApplicationLoadBalancerTarget,
} from "aws-cdk-lib/aws-elasticloadbalancingv2";
import type { Construct } from "constructs";

export interface FleetTargetsProps {
	readonly vpc: IVpc;
	readonly targets: IApplicationLoadBalancerTarget[];
	/** What the processes give `drain`. */
	readonly graceMs: number;
}

export function fleetTargets(scope: Construct, id: string, props: FleetTargetsProps): ApplicationTargetGroup {
	return new ApplicationTargetGroup(scope, id, {
		vpc: props.vpc,
		targets: props.targets,
		protocol: ApplicationProtocol.HTTP,
		port: 3000,
		healthCheck: { path: "/health", interval: Duration.seconds(5), timeout: Duration.seconds(2) },
		stickinessCookieDuration: Duration.hours(1),
		stickinessCookieName: "mcp_fanout_instance",
		deregistrationDelay: Duration.millis(props.graceMs),
	});
}
