/**
 * A change: one of the four notifications that a 2026-07-28 listen carries, as the SDK's `ServerEvent`, and as the
 * frame that a listen is sent. The frame is made once for all listens; only the subscription's id differs.
 * Sources: @modelcontextprotocol/server 2.4, server/serverEventBus; MCP 2026-07-28, basic/utilities/subscriptions.
 */
import { toAscii } from "../core/ascii.ts";
import type { Envelope } from "../core/envelope.ts";
import { FanoutError } from "../core/errors.ts";
import { CHANGE_METHODS, type NotificationInput } from "../core/message.ts";

export type ServerEvent = (
	| { kind: "tools_list_changed" }
	| { kind: "prompts_list_changed" }
	| { kind: "resources_list_changed" }
	| { kind: "resource_updated"; uri: string }
) & { params?: { [key: string]: unknown } };

export type ListKind = Exclude<ServerEvent["kind"], "resource_updated">;
export const LIST_KINDS = ["tools_list_changed", "prompts_list_changed", "resources_list_changed"] as const;
export const SUBSCRIPTION_ID = "io.modelcontextprotocol/subscriptionId";

const KINDS = new Map<string, ServerEvent["kind"]>(
	Object.entries(CHANGE_METHODS).map(([kind, method]) => [method, kind as ServerEvent["kind"]]),
);

/** What an event invalidates: of two with one key, the later says no less. */
export function keyOf(event: ServerEvent): string {
	return event.kind === "resource_updated" ? keyOfUri(event.uri) : LIST_KEYS[event.kind];
}

/** A resource's key is its URI, so that a change of one makes no new string; a list's key is none that a URI gets. */
export function keyOfUri(uri: string): string {
	return uri.startsWith(" ") ? ` ${uri}` : uri;
}

const LIST_KEYS: Readonly<Record<ListKind, string>> = {
	tools_list_changed: " tools",
	prompts_list_changed: " prompts",
	resources_list_changed: " resources",
};

export class Change {
	readonly event: ServerEvent;
	readonly key: string;
	#head: string | undefined;

	constructor(event: ServerEvent) {
		this.event = event;
		this.key = keyOf(event);
	}

	/** The frame of one subscription, in ASCII; `id` is JSON in ASCII already. */
	frame(id: string): string {
		this.#head ??= toAscii(headOf(this.event));
		return `${this.#head}${id}}}}\n\n`;
	}
}

const SUBSCRIPTION = `${JSON.stringify(SUBSCRIPTION_ID)}:`;
const STARTS = Object.fromEntries(
	Object.entries(CHANGE_METHODS).map(([kind, method]) => [
		kind,
		`event: message\ndata: {"jsonrpc":"2.0","method":${JSON.stringify(method)},"params":{`,
	]),
) as Record<ServerEvent["kind"], string>;

function headOf(event: ServerEvent): string {
	const start = STARTS[event.kind];
	// Most changes have nothing more to say.
	if (event.params === undefined) {
		const uri = event.kind === "resource_updated" ? `"uri":${JSON.stringify(event.uri)},` : "";
		return `${start}${uri}"_meta":{${SUBSCRIPTION}`;
	}
	const { _meta, ...params } = event.params;
	const named = event.kind === "resource_updated" ? { ...params, uri: event.uri } : params;
	const { [SUBSCRIPTION_ID]: _replaced, ...meta } = (
		typeof _meta === "object" && _meta !== null ? _meta : {}
	) as Record<string, unknown>;
	return `${start}${membersOf(named)}"_meta":{${membersOf(meta)}${SUBSCRIPTION}`;
}

/** An object's JSON between its braces, up to where one more member goes. */
function membersOf(value: Record<string, unknown>): string {
	const json = JSON.stringify(value);
	return json === "{}" ? "" : `${json.slice(1, -1)},`;
}

export function toNotification(event: ServerEvent): NotificationInput {
	const method = Object.hasOwn(CHANGE_METHODS, event?.kind) ? CHANGE_METHODS[event.kind] : undefined;
	if (method === undefined) throw new FanoutError("InvalidMessage", "an event's kind is one of the SDK's four");
	const { params } = event;
	if (event.kind === "resource_updated") {
		const { uri } = event;
		if (typeof uri !== "string") throw new FanoutError("InvalidMessage", "resource_updated names a uri");
		return { method, params: params === undefined ? { uri } : { ...params, uri } };
	}
	return params === undefined || isEmpty(params) ? { method } : { method, params: { ...params } };
}

function isEmpty(params: object): boolean {
	for (const _name in params) return false;
	return true;
}

/** The change that an envelope says, or undefined for messages that a listen does not carry. */
export function changeOf({ message }: Envelope): Change | undefined {
	if (!("method" in message)) return undefined;
	const kind = KINDS.get(message.method);
	if (kind === undefined) return undefined;
	const uri = message.params?.uri;
	const params = paramsBesideUri(message.params);
	if (kind !== "resource_updated") return new Change(params === undefined ? { kind } : { kind, params });
	if (typeof uri !== "string") return undefined;
	return new Change(params === undefined ? { kind, uri } : { kind, uri, params });
}

/** None, most of the time: then nothing is copied. */
function paramsBesideUri(all: Readonly<Record<string, unknown>> | undefined): Record<string, unknown> | undefined {
	for (const name in all) {
		if (name === "uri") continue;
		const { uri: _uri, ...params } = all;
		return params;
	}
	return undefined;
}
