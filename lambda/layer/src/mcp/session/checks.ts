/**
 * What is looked at in a request before its session is: who is addressed (Host and Origin, against DNS rebinding),
 * what the client takes, and which version it speaks. Source: MCP 2025-11-25, basic/transports, Streamable HTTP.
 */
import { accepts } from "../../core/session-client.ts";
import { refuse } from "./refusal.ts";

export interface AddressOptions {
	/** Host names without ports that a request may be addressed to; any when left out. */
	readonly allowedHosts?: readonly string[] | undefined;
	/** Origins (`https://app.example`) whose pages may call; when left out, loopback is for pages of loopback only. */
	readonly allowedOrigins?: readonly string[] | undefined;
}

/** Versions with sessions. */
const VERSIONS = ["2024-10-07", "2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
/** What a request without the header speaks, as far as its session does not say. */
export const ASSUMED_VERSION = "2025-03-26";
/** The one version that has batches. */
export const BATCH_VERSION = "2025-03-26";
/** What a browser reaches this machine by, as URLs spell it. */
const LOOPBACK = /^(?:(?:.+\.)?localhost\.?|127(?:\.\d+){3}|0\.0\.0\.0|\[::1?\]|\[::ffff:7f[\da-f]{2}:[\da-f]+\])$/;

export function checkAddress(
	{ headers }: Request,
	{ allowedHosts, allowedOrigins }: AddressOptions,
): Response | undefined {
	const host = headers.get("host");
	const name = host === null ? undefined : nameOf(`http://${host}`);
	if (allowedHosts !== undefined && (name === undefined || !allowedHosts.includes(name))) {
		return refuse(403, "Forbidden: this Host is not served");
	}
	const origin = headers.get("origin");
	if (origin === null) return undefined;
	const isAllowed =
		allowedOrigins === undefined
			? !LOOPBACK.test(name ?? "") || LOOPBACK.test(nameOf(origin) ?? "")
			: allowedOrigins.includes(origin);
	return isAllowed ? undefined : refuse(403, "Forbidden: this Origin may not call");
}

function nameOf(url: string): string | undefined {
	return URL.canParse(url) ? new URL(url).hostname : undefined;
}

export function checkAccept({ headers }: Request, types: readonly string[]): Response | undefined {
	if (types.every((type) => accepts(headers, type))) return undefined;
	return refuse(406, `Not Acceptable: the client must accept ${types.join(" and ")}`);
}

export function checkVersion({ headers }: Request): Response | undefined {
	const version = headers.get("mcp-protocol-version");
	if (version === null || VERSIONS.includes(version)) return undefined;
	return refuse(400, `Bad Request: Unsupported protocol version (supported versions: ${VERSIONS.join(", ")})`);
}
