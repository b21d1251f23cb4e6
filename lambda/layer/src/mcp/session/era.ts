/**
 * Which era a request belongs to. By its header alone when that names a version later than 2025's, and then the body
 * stays unread; else by the body: one whose `_meta` claims a version is modern, whatever it claims. What is not
 * modern is a session's. Source: @modelcontextprotocol/server 2.4, classifyInboundRequest.
 */
export type Era = "modern" | "legacy";

const CLAIM = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES = "io.modelcontextprotocol/clientCapabilities";
const FIRST_MODERN = "2026";

/** Versions compare as dates do. */
export function isModernVersion(version: string): boolean {
	return version.trim() >= FIRST_MODERN;
}

export function eraOfHeader({ headers }: Request): Era | undefined {
	const version = headers.get("mcp-protocol-version");
	return version !== null && isModernVersion(version) ? "modern" : undefined;
}

interface Said {
	readonly method?: unknown;
	readonly params?: { readonly _meta?: Readonly<Record<string, unknown>> | null } | null;
}

/** For a POST whose header did not settle it. */
export function eraOfBody(body: unknown): Era {
	// A batch is a session's unless it mixes eras, which the modern handler refuses.
	if (Array.isArray(body))
		return body.length === 0 || body.some((one) => metaOf(one) !== undefined) ? "modern" : "legacy";
	if (!isMessage(body)) return "modern";
	const meta = metaOf(body);
	if (meta === undefined) return "legacy";
	if (body.method !== "initialize") return "modern";
	// The handshake is a session's unless its claim is whole.
	const claim = meta[CLAIM];
	const isWhole = typeof claim === "string" && isModernVersion(claim) && CAPABILITIES in meta;
	return isWhole ? "modern" : "legacy";
}

/** The `_meta` of a request or notification that claims a version. */
function metaOf(message: unknown): Readonly<Record<string, unknown>> | undefined {
	const meta = isMessage(message) ? message.params?._meta : undefined;
	return typeof meta === "object" && meta !== null && CLAIM in meta ? meta : undefined;
}

/** What is none is refused by the modern handler. */
function isMessage(value: unknown): value is Said {
	if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
	const { jsonrpc, method } = value as { jsonrpc?: unknown; method?: unknown };
	return jsonrpc === "2.0" && (typeof method === "string" || "result" in value || "error" in value);
}
