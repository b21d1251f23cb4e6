/**
 * Server-sent events for end clients, by fetch with a ticket as bearer token, which the authorizer has read. A stream
 * follows what the ticket names until it expires or the function's time is up; its client comes back with Last-Event-ID.
 */
import { createFanout, type Fanout } from "mcp-fanout";
import { type LambdaInfo, streamify } from "mcp-fanout/lambda";
import { isFanoutError, parseClaims, streamOf } from "mcp-fanout/transports/aws/cell";
import { report } from "./powertools.ts";

/** A ticket is no cookie: whoever has one may ask from anywhere. */
const headers = { "Access-Control-Allow-Origin": "*" };

interface AuthorizedEvent {
	readonly requestContext?: { readonly authorizer?: { readonly claims?: string } };
}

function open(fanout: Fanout, request: Request, { event }: LambdaInfo): Response {
	const claims = parseClaims((event as AuthorizedEvent).requestContext?.authorizer?.claims);
	if (claims === undefined) return new Response(null, { status: 403, headers });
	try {
		return fanout.response(request, {
			...streamOf(claims),
			headers,
			onStream(stream) {
				const timer = setTimeout(() => stream.close("expired"), claims.expiresAt * 1000 - Date.now());
				stream.closed.finally(() => clearTimeout(timer));
			},
		});
	} catch (error) {
		if (!isFanoutError(error)) throw error;
		return Response.json({ error: error.code, message: error.message }, { status: 400, headers });
	}
}

const onerror = ({ code, message }: { code: string; message: string }) => report("stream", { code, message });

async function start() {
	const fanout = await createFanout({ onerror });
	return { app: { fetch: (request: Request, info: LambdaInfo) => open(fanout, request, info) }, fanout };
}

export const handler = streamify(start, { holds: () => true, onerror });
