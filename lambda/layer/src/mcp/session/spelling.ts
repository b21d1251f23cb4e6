/**
 * How a session's GET stream spells what it shows. MCP clients cannot read why something is missing: in its place they
 * get what makes them look again, one list_changed for each list that the server declared and one updated for each
 * resource that they subscribed to. A stream that ends says nothing: its client comes back with its cursor.
 */
import { CHANGE_METHODS } from "../../core/message.ts";
import { sseCursor } from "../../core/sse.ts";
import type { SessionFacts } from "./facts.ts";
import type { Spelling } from "./host.ts";

const LISTS = [
	["tools", CHANGE_METHODS.tools_list_changed],
	["prompts", CHANGE_METHODS.prompts_list_changed],
	["resources", CHANGE_METHODS.resources_list_changed],
] as const;

export function spellFor(factsNow: () => Pick<SessionFacts, "capabilities" | "uris">): Spelling {
	const frame = (json: string, cursor: string | undefined) =>
		`event: message\n${cursor === undefined ? "" : `id: ${cursor}\n`}data: ${json}\n\n`;
	return {
		message: frame,
		cursor: sseCursor,
		mark(_reason, cursor) {
			const { capabilities, uris } = factsNow();
			const lists = LISTS.filter(([name]) => declares(capabilities[name])).map(([, method]) => ({ method }));
			const updates = uris.map((uri) => ({ method: CHANGE_METHODS.resource_updated, params: { uri } }));
			const told = [...lists, ...updates].map((one) => ascii({ jsonrpc: "2.0", ...one }));
			// The last alone moves the cursor: a stream that breaks before it tells all of it again.
			return told.map((json, n) => frame(json, n === told.length - 1 ? cursor : undefined)).join("");
		},
		end: () => "",
	};
}

const declares = (capability: unknown): boolean =>
	typeof capability === "object" &&
	capability !== null &&
	"listChanged" in capability &&
	capability.listChanged === true;

/** Client streams write latin1: what lies beyond ASCII is escaped. */
function ascii(value: object): string {
	return JSON.stringify(value).replace(
		/[\u007f-\uffff]/g,
		(char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
	);
}
