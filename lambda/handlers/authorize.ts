/** Lambda authorizer of the client API's $connect and of the events API: allows a valid ticket, denies everything else. */
import type { APIGatewayRequestAuthorizerEvent } from "aws-lambda";
import { authorize, createCell } from "mcp-fanout/transports/aws/cell";
import { count, handle, report } from "./powertools.ts";

const cell = createCell();

/** Without it no ticket can be judged: every handshake fails, and is tried again. */
async function key() {
	try {
		return await cell.key();
	} catch (error) {
		count("KeyUnread", 1);
		throw error;
	}
}

export const handler = handle(async (event: APIGatewayRequestAuthorizerEvent) => {
	const { namespace, clock } = cell;
	const policy = await authorize({ namespace, clock, key, report }, event.headers, event.methodArn);
	count("HandshakesDenied", policy.context === undefined ? 1 : 0);
	return policy;
});
