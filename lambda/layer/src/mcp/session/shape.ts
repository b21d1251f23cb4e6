/**
 * What the SDKs' servers take for a message, beyond what JSON-RPC asks. One that they do not take they never answer:
 * its POST would wait for good, and its session could never rest. Sources: @modelcontextprotocol/core 2.4 and sdk
 * 1.32, JSONRPCMessageSchema.
 */
import type { Message } from "../../core/message.ts";

const RELATED_TASK = "io.modelcontextprotocol/related-task";
const FIELDS = ["jsonrpc", "id", "method", "params"];
const ANSWER_FIELDS = ["jsonrpc", "id", "result", "error"];

type Raw = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is Raw => typeof value === "object" && value !== null && !Array.isArray(value);

/** Why no server would take it; undefined for one that is fine. */
export function misshapen(message: Message): string | undefined {
	const fields = "method" in message ? FIELDS : ANSWER_FIELDS;
	if (Object.keys(message).some((name) => !fields.includes(name))) return "a message has no fields beyond JSON-RPC's";
	if ("id" in message && typeof message.id === "number" && !isName(message.id)) return "an id has no fraction";
	if ("method" in message) return badMeta(message.params) ? "_meta is none of MCP's" : undefined;
	const { error, result } = message;
	if (error === undefined) return !isObject(result) || badMeta(result) ? "a result must be an object" : undefined;
	const isError = isObject(error) && Number.isSafeInteger(error.code) && typeof error.message === "string";
	return isError ? undefined : "an error has a code and a message";
}

const isName = (value: unknown): boolean => typeof value === "string" || Number.isSafeInteger(value);

function badMeta(said: Raw | undefined): boolean {
	const meta = said?._meta;
	if (meta === undefined) return false;
	if (!isObject(meta)) return true;
	const { progressToken: token, [RELATED_TASK]: task } = meta;
	return (token !== undefined && !isName(token)) || (task !== undefined && typeof Object(task).taskId !== "string");
}
