/**
 * The application's factory, and what it is told of the session that its server is for. The same factory serves
 * `createMcpHandler`: the context is the SDK's, with `session` beside it. Servers of the SDK's v1 and v2 both fit.
 */
import type { Json } from "../../sessions/record.ts";
import type { SessionTransport } from "./transport.ts";

/** The SDK's `AuthInfo`, v1's and v2's. */
export interface SessionAuth {
	token: string;
	clientId: string;
	scopes: string[];
	expiresAt?: number;
	resource?: URL;
	extra?: Record<string, unknown>;
}

/** What the application keeps of a session beyond one process: closures do not move, this does. */
export interface SessionState {
	/** As this process knows it: another's change arrives within a second of use. */
	readonly value: Json;
	/** The last to save wins. Rejects when the registry refuses it (64 KiB at most). */
	save(value: Json): Promise<void>;
}

export interface SessionInfo {
	readonly id: string;
	readonly principal: string | undefined;
	/** True when another process opened the session. */
	readonly adopted: boolean;
	readonly state: SessionState;
}

export interface SessionContext {
	era: "legacy";
	authInfo?: SessionAuth;
	/** The request that opened the session here. */
	requestInfo?: Request;
	session: SessionInfo;
}

export interface ServerLike {
	connect(transport: SessionTransport): Promise<void>;
	close(): Promise<void>;
}

/** A method, so that factories which ask for less or name the SDK's own context fit as well. */
export type SessionFactory = { build(context: SessionContext): ServerLike | Promise<ServerLike> }["build"];
