/**
 * Whose request it is. Who is not authenticated is anonymous and hears the default tenant's `all`; who is, and for
 * whom a configured principal or tenant comes out empty, is refused: nobody falls through to everyone.
 */
import { type Channel, createChannel, DEFAULT_TENANT } from "../core/channel.ts";
import { FanoutError } from "../core/errors.ts";

/** The SDK's `AuthInfo`, as far as it matters here. */
export interface AuthInfoLike {
	/** Seconds since 1970. */
	readonly expiresAt?: number | undefined;
	readonly extra?: Readonly<Record<string, unknown>> | undefined;
}

/** When the authorisation ends, in milliseconds; undefined when it says nothing of that. */
export function expiryOf(authInfo: AuthInfoLike | undefined): number | undefined {
	return authInfo?.expiresAt === undefined ? undefined : authInfo.expiresAt * 1000;
}

export interface Asking<Auth extends AuthInfoLike = AuthInfoLike> {
	readonly authInfo: Auth;
	readonly request: Request;
}

export const DEFAULT_IDENTITY_TIMEOUT_MS = 10_000;

type Name = string | undefined;

export interface IdentityOptions {
	/** The user behind an authenticated request; never the client id, which all users of an application share. */
	readonly principal?: ((asking: Asking) => Name | Promise<Name>) | undefined;
	/** Whose data it is. */
	readonly tenant?: ((asking: Asking) => Name | Promise<Name>) | undefined;
	/** How long both may take together, in milliseconds; then the request is answered 503. Default 10 seconds. */
	readonly identityTimeoutMs?: number | undefined;
}

export interface Identity {
	readonly tenant: string;
	/** The user, when one is known. */
	readonly principal?: string;
	/** What is for everyone of the tenant, then what is for the user. */
	readonly channels: readonly Channel[];
}

export function anonymous(namespace: string, tenant: string = DEFAULT_TENANT): Identity {
	return { tenant, channels: [createChannel("all", "", { namespace, tenant })] };
}

/** Throws ScopeRequired or InvalidChannel for who must be refused. */
export async function identify(
	options: IdentityOptions,
	namespace: string,
	request: Request,
	authInfo: AuthInfoLike,
): Promise<Identity> {
	const asking = { authInfo, request };
	const tenant = options.tenant === undefined ? DEFAULT_TENANT : named("tenant", await options.tenant(asking));
	const { channels } = anonymous(namespace, tenant);
	if (options.principal === undefined) return { tenant, channels };
	const principal = named("principal", await options.principal(asking));
	const own = createChannel("principal", principal, { namespace, tenant });
	return { tenant, principal, channels: [...channels, own] };
}

function named(what: string, value: unknown): string {
	if (typeof value === "string" && value !== "") return value;
	throw new FanoutError("ScopeRequired", `an authenticated request without a ${what}`);
}
