/**
 * The first frame of a listen: what the server honours of what was asked, and the subscription's id as JSON in ASCII.
 * Source: MCP 2026-07-28, notifications/subscriptions/acknowledged.
 */
import { toAscii } from "../core/ascii.ts";
import type { Filter } from "./audience.ts";
import { type ListKind, SUBSCRIPTION_ID } from "./change.ts";

export interface Ack {
	readonly filter: Filter;
	readonly id: string;
}

const FLAGS: readonly (readonly [string, ListKind])[] = [
	["toolsListChanged", "tools_list_changed"],
	["promptsListChanged", "prompts_list_changed"],
	["resourcesListChanged", "resources_list_changed"],
];

interface Said {
	readonly method?: unknown;
	readonly params?: {
		readonly notifications?: Readonly<Record<string, unknown>>;
		readonly _meta?: Readonly<Record<string, unknown>>;
	};
}

/** Undefined when the frame is no acknowledgement. */
export function readAck(chunk: Uint8Array): Ack | undefined {
	const line = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
		.toString()
		.split("\n")
		.find((text) => text.startsWith("data:"));
	if (line === undefined) return undefined;
	let said: Said;
	try {
		said = JSON.parse(line.slice("data:".length)) as Said;
	} catch {
		// Not ours to judge: whoever wrote it goes on delivering.
		return undefined;
	}
	if (said?.method !== "notifications/subscriptions/acknowledged") return undefined;
	const { notifications, _meta } = said.params ?? {};
	const id = _meta?.[SUBSCRIPTION_ID];
	if (notifications === undefined || (typeof id !== "string" && typeof id !== "number")) return undefined;
	const uris = notifications.resourceSubscriptions;
	const kinds = FLAGS.flatMap(([flag, kind]) => (notifications[flag] === true ? [kind] : []));
	const named = Array.isArray(uris) ? uris.filter((uri) => typeof uri === "string") : [];
	return { id: toAscii(JSON.stringify(id)), filter: { kinds, uris: [...new Set(named)] } };
}
