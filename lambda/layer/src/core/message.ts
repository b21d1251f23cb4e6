/**
 * Messages: JSON-RPC 2.0 as MCP uses it. The public API takes notifications (`{ method, params? }`); session
 * channels of the 2025 era also carry requests and responses. Everything is checked here, once, at the edge.
 * Source: https://www.jsonrpc.org/specification sections 4 and 5.
 */
import { FanoutError } from "./errors.ts";

export interface Notification {
	readonly jsonrpc: "2.0";
	readonly method: string;
	readonly params?: Readonly<Record<string, unknown>>;
}

/** What callers pass: `jsonrpc` is added, an `id` is refused. */
export interface NotificationInput {
	readonly jsonrpc?: "2.0";
	readonly method: string;
	readonly params?: Readonly<Record<string, unknown>> | undefined;
}

/** Names of the change notifications, by the kinds of the SDK's `ServerEvent`. */
export const CHANGE_METHODS = {
	tools_list_changed: "notifications/tools/list_changed",
	prompts_list_changed: "notifications/prompts/list_changed",
	resources_list_changed: "notifications/resources/list_changed",
	resource_updated: "notifications/resources/updated",
} as const;

export type RequestId = string | number;
export interface Request extends Notification {
	readonly id: RequestId;
}
export interface Response {
	readonly jsonrpc: "2.0";
	readonly id: RequestId | null;
	readonly result?: unknown;
	readonly error?: { readonly code: number; readonly message: string; readonly data?: unknown };
}
export type Message = Notification | Request | Response;

/** Longest method name that is accepted, in characters. */
export const MAX_METHOD_LENGTH = 256;

function invalid(message: string): FanoutError {
	return new FanoutError("InvalidMessage", message);
}

function isRecord(value: unknown): value is Record<string, unknown> {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

function checkMethodAndParams(value: Record<string, unknown>): void {
	const { method, params } = value;
	if (typeof method !== "string" || method.length === 0) throw invalid("method must be a non-empty string");
	if (method.length > MAX_METHOD_LENGTH) {
		throw invalid(`method has ${method.length} characters, at most ${MAX_METHOD_LENGTH} are accepted`);
	}
	if (params !== undefined && !isRecord(params))
		throw invalid("params must be an object (MCP has no positional params)");
}

/** Validates a notification; throws InvalidMessage. */
export function parseNotification(input: unknown): Notification {
	if (!isRecord(input)) throw invalid("a notification must be an object { method, params? }");
	if ("id" in input) throw invalid("a notification has no id (JSON-RPC 2.0, section 4.1)");
	if (input.jsonrpc !== undefined && input.jsonrpc !== "2.0") throw invalid('jsonrpc must be "2.0"');
	checkMethodAndParams(input);
	const { method, params } = input as { method: string; params?: Record<string, unknown> };
	return params === undefined ? { jsonrpc: "2.0", method } : { jsonrpc: "2.0", method, params };
}

/** Validates any JSON-RPC message; throws InvalidMessage. */
export function parseMessage(input: unknown): Message {
	if (!isRecord(input)) throw invalid("a message must be an object");
	if (!("id" in input)) return parseNotification(input);
	const { id } = input;
	if (typeof id !== "string" && typeof id !== "number" && id !== null) throw invalid("id must be a string or a number");
	if (input.jsonrpc !== undefined && input.jsonrpc !== "2.0") throw invalid('jsonrpc must be "2.0"');
	if ("method" in input) {
		if (id === null) throw invalid("a request's id is never null in MCP");
		checkMethodAndParams(input);
	} else if ("result" in input === "error" in input) {
		throw invalid("a response has either result or error");
	}
	return { ...input, jsonrpc: "2.0" } as Message;
}

export function methodOf(message: Message): string | undefined {
	return "method" in message ? message.method : undefined;
}
