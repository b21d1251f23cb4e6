/** Stands for your own authentication: here a bearer token is the user's name, and who has none is anonymous. */
import type { IncomingMessage } from "node:http";

export interface Caller {
	readonly token: string;
	readonly clientId: string;
	readonly scopes: string[];
	readonly extra: { readonly sub: string };
}

export function authenticate(req: IncomingMessage): Caller | undefined {
	const [scheme, token = ""] = (req.headers.authorization ?? "").split(" ");
	if (scheme !== "Bearer") return undefined;
	return { token, clientId: "node-fleet", scopes: [], extra: { sub: token } };
}

interface Call {
	readonly authInfo?: { readonly extra?: Readonly<Record<string, unknown>> | undefined } | undefined;
}

/** The user behind a call. */
export const userOf = ({ authInfo }: Call) => authInfo?.extra?.sub as string | undefined;
