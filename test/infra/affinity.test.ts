import { App, Stack } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";
import { Vpc } from "aws-cdk-lib/aws-ec2";
import { expect, test } from "vitest";
import { fleetTargets } from "../../examples/affinity/alb.ts";
import { AFFINITY_COOKIE } from "../../lambda/layer/src/affinity.ts";

test("the ALB example makes a target group that keeps clients by our cookie", () => {
	const stack = new Stack(new App(), "Theirs", { env: { account: "000000000000", region: "us-east-1" } });
	const vpc = Vpc.fromVpcAttributes(stack, "Vpc", { vpcId: "vpc-00000000", availabilityZones: ["us-east-1a"] });
	fleetTargets(stack, "Fleet", { vpc, targets: [], graceMs: 20_000 });
	const attribute = (Key: string, Value: string) => ({ Key, Value });
	const [group] = Object.values(Template.fromStack(stack).findResources("AWS::ElasticLoadBalancingV2::TargetGroup"));
	expect(group?.Properties).toMatchObject({ HealthCheckPath: "/health" });
	expect(group?.Properties.TargetGroupAttributes).toEqual(
		expect.arrayContaining([
			attribute("stickiness.enabled", "true"),
			attribute("stickiness.type", "app_cookie"),
			attribute("stickiness.app_cookie.cookie_name", AFFINITY_COOKIE),
			attribute("deregistration_delay.timeout_seconds", "20"),
		]),
	);
});
