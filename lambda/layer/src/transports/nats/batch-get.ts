/**
 * Direct Get in batches: many messages for one request, from whichever replica is near. A replica may be behind, so
 * what it does not have proves nothing: `upTo`, where it is given, is how far this replica is.
 */
import { FanoutError } from "../../core/errors.ts";
import type { Msg } from "./client.ts";
import { NOBODY, type Silence, unanswered } from "./failure.ts";
import { headerLines, headerOf, PLAIN } from "./headers.ts";
import type { Inbox } from "./inbox.ts";

export interface Fetched {
	readonly seq: number;
	readonly subject: string;
	readonly data: Uint8Array;
}

export interface Batch {
	readonly messages: readonly Fetched[];
	/** Matching messages that are left. */
	readonly pending: number;
	/** Last sequence of the replica that answered; of `multi_last` only. */
	readonly upTo: number | undefined;
}

export type BatchGet = (stream: string, request: object) => Promise<Batch>;

function refusedBatch(what: string, code: number, description: string): FanoutError {
	if (code === NOBODY) return unanswered(what, "nobody", 0);
	return new FanoutError("TransportRefused", `${what}: ${code} ${description}`, { data: { code } });
}

export function createBatchGet(inbox: Inbox, apiPrefix: string, timeoutMs: number): BatchGet {
	return (stream, request) =>
		new Promise((resolve, reject) => {
			const messages: Fetched[] = [];
			const what = `messages of ${stream}`;
			const message = (msg: Msg): boolean => {
				const lines = headerLines(msg, msg.subject);
				const code = lines.startsWith(PLAIN) ? 0 : (msg.headers?.code ?? 0);
				const number = (name: string) => Number(headerOf(lines, name) || Number.NaN);
				// Each answer names the one sent before it: what was lost on the way shows.
				if ((code === 0 || code === 204) && number("Nats-Last-Sequence") !== (messages.at(-1)?.seq ?? 0)) {
					reject(new FanoutError("TransportUnavailable", `some ${what} were lost on the way`, { retryable: true }));
					return true;
				}
				if (code === 0) {
					const subject = headerOf(lines, "Nats-Subject");
					messages.push({ seq: number("Nats-Sequence"), subject, data: msg.data });
					return false;
				}
				const upTo = number("Nats-UpTo-Sequence");
				const pending = number("Nats-Num-Pending") || 0;
				if (code === 204) resolve({ messages, pending, upTo: Number.isNaN(upTo) ? undefined : upTo });
				else if (code === 404) resolve({ messages, pending: 0, upTo: undefined });
				else reject(refusedBatch(what, code, msg.headers?.description ?? ""));
				return true;
			};
			const failed = (reason: Silence, cause?: unknown) => reject(unanswered(what, reason, timeoutMs, cause));
			inbox.ask({ message, failed }, timeoutMs, `${apiPrefix}.DIRECT.GET.${stream}`, JSON.stringify(request));
		});
}
