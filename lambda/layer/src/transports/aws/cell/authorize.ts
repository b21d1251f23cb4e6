/**
 * Authorize: the client API's decision about a handshake, and the events API's about a request. What is allowed carries
 * the ticket's claims. A denial is final to who asks; while no ticket can be read this throws, which is a server's error
 * to a client, and asked again.
 */
import type { Clock } from "../../../core/clock.ts";
import { type Claims, type TicketKey, ticketOf, verifyTicket } from "../ticket.ts";
import type { Reports } from "./poster.ts";

export interface AuthorizePorts {
	readonly namespace: string;
	readonly clock: Clock;
	readonly report: Reports;
	key(): Promise<TicketKey>;
}

export interface Policy {
	readonly principalId: string;
	readonly policyDocument: {
		readonly Version: "2012-10-17";
		readonly Statement: { readonly Action: string; readonly Effect: "Allow" | "Deny"; readonly Resource: string }[];
	};
	readonly context?: { readonly claims: string };
}

/** A header's value whatever its spelling. */
export function headerOf(
	headers: Readonly<Record<string, string | undefined>> | null | undefined,
	name: string,
): string | undefined {
	const found = Object.entries(headers ?? {}).find(([key]) => key.toLowerCase() === name);
	return found?.[1];
}

function bearerOf(header: string | undefined): string | undefined {
	return /^Bearer ([\w-]+(?:\.[\w-]+)+)$/i.exec(header ?? "")?.[1];
}

function policy(effect: "Allow" | "Deny", resource: string, claims?: Claims): Policy {
	const Statement = [{ Action: "execute-api:Invoke", Effect: effect, Resource: resource }];
	const principalId = claims?.principal ?? "anonymous";
	const decision = { principalId, policyDocument: { Version: "2012-10-17" as const, Statement } };
	return claims === undefined ? decision : { ...decision, context: { claims: JSON.stringify(claims) } };
}

export async function authorize(
	ports: AuthorizePorts,
	headers: Readonly<Record<string, string | undefined>> | null | undefined,
	resource: string,
): Promise<Policy> {
	const ticket = ticketOf(headerOf(headers, "sec-websocket-protocol")) ?? bearerOf(headerOf(headers, "authorization"));
	if (ticket === undefined) return policy("Deny", resource);
	const key = await ports.key();
	try {
		return policy("Allow", resource, await verifyTicket(key, ticket, ports));
	} catch (error) {
		ports.report("handshake refused", { error: error instanceof Error ? error.name : "unknown" });
		return policy("Deny", resource);
	}
}
