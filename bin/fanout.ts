/**
 * The CDK app, and the only reader of synth-time context.
 *   -c env=<name>      which environment of lib/config (default: dev)
 *   -c account=<id>    its account (default: the environment's, else that of the credentials)
 *   -c lookUp=<any>    another text than at the last deployment has replicas' streams looked up again (docs/runbook.md)
 *   -c emulator=true   leave out what an emulator's CloudFormation cannot deploy; with
 *   -c socketTemplate=… -c callbackTemplate=… -c functionUrlTemplate=…   the addresses that it answers on
 */
import { App } from "aws-cdk-lib";
import { readContext } from "../lib/config/context.ts";
import { applyNag } from "../lib/nag.ts";
import { createEnvironmentStacks } from "../lib/stages/environment-stacks.ts";

const app = new App();
const { config, ...options } = readContext(app.node);
const cells = createEnvironmentStacks(app, config, options);
// An emulator's stacks are no deployment to judge: they lack what it cannot take.
if (options.emulator === undefined) applyNag(app, cells);
app.synth();
