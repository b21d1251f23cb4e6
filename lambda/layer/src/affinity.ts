/**
 * A hint for proxies that want to send a client where it was before: a header and a cookie that name the instance by an
 * opaque label. Nothing needs it: every stream and session goes on at whichever instance its client comes to. An
 * instance that drains takes its name back, so that its clients spread anew.
 */
import { createHash } from "node:crypto";
import type { ServerResponse } from "node:http";
import { FanoutError } from "./core/errors.ts";

export const AFFINITY_HEADER = "Mcp-Fanout-Instance";
/** Without a dash: nginx names its variables by it. */
export const AFFINITY_COOKIE = "mcp_fanout_instance";

export interface AffinityOptions {
	/**
	 * What the proxy's configuration calls this instance: letters, digits, - and _, so that it is no address. Default:
	 * one that is made up at every start, for proxies that learn labels or make their own cookie when they see ours.
	 */
	readonly label?: string | undefined;
	readonly header?: string | undefined;
	readonly cookie?: string | undefined;
	/** Only over TLS; default true. */
	readonly secure?: boolean | undefined;
}

export interface Affinity {
	readonly label: string;
	/** What an answer carries now. */
	headers(): Readonly<Record<string, string>>;
	/** The response with them, its own headers kept; the same one where nothing can be added. */
	mark(response: Response): Response;
	/** On a response of node:http whose head was not sent. */
	write(res: ServerResponse): void;
}

const LABEL = /^[A-Za-z0-9_-]{1,64}$/;
const TOKEN = /^[!#$%&'*+.^_`|~A-Za-z0-9-]{1,64}$/;

function token(name: string, text: string): string {
	if (TOKEN.test(text)) return text;
	throw new FanoutError("ConfigInvalid", `affinity.${name} must be the name of one: at most 64 letters, digits or -`);
}

export function createAffinity(options: AffinityOptions, instanceId: string, isReady: () => boolean): Affinity {
	const label = options.label ?? createHash("sha256").update(instanceId).digest("base64url").slice(0, 16);
	if (!LABEL.test(label)) {
		throw new FanoutError("ConfigInvalid", "affinity.label is 1 to 64 letters, digits, - or _, and no address");
	}
	const header = token("header", options.header ?? AFFINITY_HEADER);
	const cookie = token("cookie", options.cookie ?? AFFINITY_COOKIE);
	const attributes = `Path=/; HttpOnly; SameSite=Lax${(options.secure ?? true) ? "; Secure" : ""}`;
	const named = { [header]: label, "Set-Cookie": `${cookie}=${label}; ${attributes}` };
	const unnamed = { "Set-Cookie": `${cookie}=; Max-Age=0; ${attributes}` };

	const affinity: Affinity = {
		label,
		headers: () => (isReady() ? named : unnamed),
		mark(response) {
			try {
				for (const [name, value] of Object.entries(affinity.headers())) response.headers.append(name, value);
			} catch {
				// Headers of a fetched or redirecting response are immutable: it goes as it is.
			}
			return response;
		},
		write(res) {
			for (const [name, value] of Object.entries(affinity.headers())) res.appendHeader(name, value);
		},
	};
	return affinity;
}
