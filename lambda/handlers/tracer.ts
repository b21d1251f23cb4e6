/** The only file that knows Powertools' tracer: its X-Ray SDK is out of support from February 2027. */
import { Tracer } from "@aws-lambda-powertools/tracer";
import { captureLambdaHandler } from "@aws-lambda-powertools/tracer/middleware";

/** A segment per invocation, without results: they may hold a notification's content. */
export const traced = () => captureLambdaHandler(new Tracer(), { captureResponse: false });
