/**
 * Once the cell's own stacks stand in the region:
 * `npx cdk deploy --app "node --conditions=mcp-fanout-source examples/lambda/app.ts"`
 *   -c prefix=<environment>-fanout   the cell (default: dev-fanout)
 *   -c emulator=true                 what an emulator cannot do is left out
 */
import { App } from "aws-cdk-lib";
import { McpServerStack } from "./stack.ts";

const app = new App();
const { CDK_DEFAULT_ACCOUNT: account, CDK_DEFAULT_REGION: region } = process.env;
new McpServerStack(app, "fanout-example-lambda", {
	prefix: app.node.tryGetContext("prefix") ?? "dev-fanout",
	...(account !== undefined && region !== undefined && { env: { account, region } }),
	emulated: app.node.tryGetContext("emulator") === "true",
});
app.synth();
