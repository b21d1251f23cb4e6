/** $disconnect, which API Gateway promises only to try: removes the connection's rows. What it misses a post's 410 finds. */
import type { APIGatewayProxyWebsocketEventV2 } from "aws-lambda";
import { createCell } from "mcp-fanout/transports/aws/cell";
import { handle } from "./powertools.ts";

const cell = createCell();

export const handler = handle(async ({ requestContext }: APIGatewayProxyWebsocketEventV2) => {
	await cell.connections.remove(requestContext.connectionId);
	return { statusCode: 200 };
});
