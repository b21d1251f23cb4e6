/**
 * $connect of both WebSocket APIs: keeps who connected. No channel rows: a post before the handshake ends is answered
 * 410, and would take them away again. A throw refuses the handshake, and the client tries again.
 */
import type {
	APIGatewayEventWebsocketRequestContextV2,
	APIGatewayProxyWebsocketEventV2WithRequestContext,
} from "aws-lambda";
import { createCell, headerOf, parseClaims, TICKET_PROTOCOL, ticketOf } from "mcp-fanout/transports/aws/cell";
import { handle, report } from "./powertools.ts";

const cell = createCell();

type Event = APIGatewayProxyWebsocketEventV2WithRequestContext<
	APIGatewayEventWebsocketRequestContextV2 & { readonly authorizer?: { readonly claims?: string } }
> & { readonly headers?: Record<string, string> };

export const handler = handle(async ({ requestContext, headers }: Event) => {
	const { connectionId: id, apiId, authorizer } = requestContext;
	const claims = parseClaims(authorizer?.claims);
	if (claims === undefined && cell.isClientApi(apiId)) {
		report("handshake without claims", { connection: id });
		return { statusCode: 403 };
	}
	await cell.connections.open({ id, api: claims === undefined ? "backend" : "client" }, claims);
	// A client that offered protocols closes unless one of them is chosen.
	const isOffered = ticketOf(headerOf(headers, "sec-websocket-protocol")) !== undefined;
	return isOffered ? { statusCode: 200, headers: { "Sec-WebSocket-Protocol": TICKET_PROTOCOL } } : { statusCode: 200 };
});
