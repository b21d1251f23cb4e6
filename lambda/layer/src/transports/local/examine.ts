/** What an operator's check of the local transport looks at: the file that it is to keep, if any. */
import { examineFile } from "../../core/file-finding.ts";
import type { Tell } from "../../core/finding.ts";
import { type LocalOptions, resolveLimits } from "./options.ts";

export async function examineLocal(options: LocalOptions, tell: Tell): Promise<void> {
	const { maxEvents } = resolveLimits(options);
	if (options.file !== undefined) await examineFile("local.file", options.file, tell);
	else tell("ok", `in this process's memory, at most ${maxEvents} events; lost with it`);
}
