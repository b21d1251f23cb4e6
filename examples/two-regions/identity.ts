/**
 * Who is calling. A real server verifies a token; this example takes `Bearer <user>.<session>` at its word, so never
 * copy it. What matters is where it stands: identities come from authentication, never from a query parameter.
 */
import type { IncomingMessage } from "node:http";

export interface Identity {
	readonly principal: string;
	readonly session: string;
}

export function identify(req: IncomingMessage): Identity | undefined {
	const match = /^Bearer ([a-z0-9-]{1,40})\.([a-z0-9-]{1,40})$/.exec(req.headers.authorization ?? "");
	if (match === null) return undefined;
	const [, principal, session] = match as unknown as [string, string, string];
	return { principal, session };
}
