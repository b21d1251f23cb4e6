/**
 * HTTP as Lambda sees it, to and from web-standard requests: REST API proxy events (format 1.0), and those of HTTP
 * APIs and function URLs (2.0). Results have the shape of the event's format.
 */
import { FanoutError } from "../core/errors.ts";
import { isHost } from "../core/host.ts";

type Texts = Readonly<Record<string, string | undefined>>;
type Lists = Readonly<Record<string, readonly string[] | undefined>>;

export interface RestEvent {
	readonly httpMethod: string;
	readonly path: string;
	readonly headers?: Texts | null;
	readonly multiValueHeaders?: Lists | null;
	readonly queryStringParameters?: Texts | null;
	readonly multiValueQueryStringParameters?: Lists | null;
	readonly body?: string | null;
	readonly isBase64Encoded?: boolean;
	readonly requestContext?: { readonly domainName?: string };
}

export interface HttpEvent {
	readonly version: "2.0";
	readonly rawPath: string;
	readonly rawQueryString?: string;
	readonly headers?: Texts;
	readonly cookies?: readonly string[];
	readonly body?: string | null;
	readonly isBase64Encoded?: boolean;
	readonly requestContext: { readonly domainName?: string; readonly http: { readonly method: string } };
}

export interface HttpHead {
	readonly statusCode: number;
	readonly headers: Record<string, string>;
	readonly multiValueHeaders?: Record<string, string[]>;
	readonly cookies?: string[];
}

export interface HttpResult extends HttpHead {
	readonly body: string;
	readonly isBase64Encoded: boolean;
}

const TEXT = /^(text\/|application\/(json|javascript|xml|x-www-form-urlencoded|[a-z0-9.+-]+\+(json|xml))\b)/i;

/** Cookies have a place of their own; the others belong to the connection, which is not ours. */
const NOT_OURS: ReadonlySet<string> = new Set(["set-cookie", "connection", "keep-alive", "transfer-encoding"]);

export function isHttpEvent(event: unknown): event is HttpEvent {
	const { version, rawPath, requestContext } = (event ?? {}) as Partial<HttpEvent>;
	return version === "2.0" && typeof rawPath === "string" && typeof requestContext?.http?.method === "string";
}

function isRestEvent(event: unknown): event is RestEvent {
	const { httpMethod, path } = (event ?? {}) as Partial<RestEvent>;
	return typeof httpMethod === "string" && typeof path === "string";
}

function restQuery({ multiValueQueryStringParameters: lists, queryStringParameters: single }: RestEvent): string {
	const query = new URLSearchParams();
	for (const [name, values] of Object.entries(lists ?? {})) for (const value of values ?? []) query.append(name, value);
	if (lists === undefined || lists === null) {
		for (const [name, value] of Object.entries(single ?? {})) if (value !== undefined) query.append(name, value);
	}
	return query.toString();
}

function headersOf(event: RestEvent | HttpEvent): Headers {
	const headers = new Headers();
	for (const [name, value] of Object.entries(event.headers ?? {})) if (value !== undefined) headers.set(name, value);
	for (const [name, values] of Object.entries(("multiValueHeaders" in event && event.multiValueHeaders) || {})) {
		if (values === undefined || values.length < 2) continue;
		headers.delete(name);
		for (const value of values) headers.append(name, value);
	}
	if ("cookies" in event && event.cookies !== undefined) headers.set("cookie", event.cookies.join("; "));
	return headers;
}

/** The event as a request whose signal is the invocation's. */
export function requestOf(event: unknown, signal: AbortSignal): Request {
	if (!isHttpEvent(event) && !isRestEvent(event)) {
		throw new FanoutError("Unsupported", "not an HTTP event of a REST API, an HTTP API or a function URL");
	}
	const headers = headersOf(event);
	const http = isHttpEvent(event);
	const method = http ? event.requestContext.http.method : event.httpMethod;
	const query = http ? (event.rawQueryString ?? "") : restQuery(event);
	const named = headers.get("host");
	const host = named !== null && isHost(named) ? named : (event.requestContext?.domainName ?? "localhost");
	// HTTP APIs hand it over decoded: what would end it is a part of it.
	const path = (http ? event.rawPath : event.path).replace(/[?#]/g, encodeURIComponent);
	const url = new URL(`https://${host}${path.startsWith("/") ? "" : "/"}${path}${query === "" ? "" : `?${query}`}`);
	const isBodiless = method === "GET" || method === "HEAD" || event.body === undefined || event.body === null;
	if (isBodiless) return new Request(url, { method, headers, signal });
	const body = event.isBase64Encoded === true ? Buffer.from(event.body as string, "base64") : (event.body as string);
	return new Request(url, { method, headers, signal, body });
}

/** What goes before a body, in the shape of the event's format. */
export function headOf(event: unknown, response: Response): HttpHead {
	const headers: Record<string, string> = {};
	for (const [name, value] of response.headers) if (!NOT_OURS.has(name)) headers[name] = value;
	const cookies = response.headers.getSetCookie();
	const head = { statusCode: response.status, headers };
	if (cookies.length === 0) return head;
	return isHttpEvent(event) ? { ...head, cookies } : { ...head, multiValueHeaders: { "set-cookie": cookies } };
}

/** The answer as one value; binary content as base64. */
export function resultOf(event: unknown, response: Response, bytes: Uint8Array): HttpResult {
	const type = response.headers.get("content-type") ?? "text/plain";
	const isText = TEXT.test(type) && !response.headers.has("content-encoding");
	return {
		...headOf(event, response),
		body: Buffer.from(bytes).toString(isText || bytes.length === 0 ? "utf8" : "base64"),
		isBase64Encoded: !isText && bytes.length > 0,
	};
}
