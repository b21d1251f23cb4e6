/**
 * Every frame of both WebSocket APIs: subscribe, unsubscribe, ping, read, renew, and what is none of them. Answers by
 * post, with an empty body: a body would need a route response, and some gateways send it as a frame of its own.
 */
import type { APIGatewayProxyWebsocketEventV2 } from "aws-lambda";
import { answerFrame, createCell, createPostRound, postFrames } from "mcp-fanout/transports/aws/cell";
import { count, handle, report } from "./powertools.ts";

const cell = createCell();

export const handler = handle(async ({ requestContext, body }: APIGatewayProxyWebsocketEventV2, context) => {
	const round = createPostRound(cell.clock, context.getRemainingTimeInMillis());
	const { connectionId: id } = requestContext;
	const { connections, poster, clock, random, namespace, region, key } = cell;
	const meta = await connections.meta(id);
	if (meta === undefined) {
		report("frame of an unknown connection", { connection: id });
		return { statusCode: 200 };
	}
	// The log and the home by way of the cell: a ping needs neither.
	const ports = { namespace, region, clock, connections, report, key, log: cell.log, home: cell.home };
	const answer = await answerFrame(ports, meta, body ?? "");
	const result = await postFrames({ poster, connections, clock, random, round, report }, meta, [answer]);
	count("ConnectionsEnded", result === "ended" ? 1 : 0);
	return { statusCode: 200 };
});
