/**
 * Direct Get in batches: many messages for one request, from whichever replica is near. A replica may be behind, so
 * what it does not have proves nothing: `upTo`, where it is given, is how far this replica is.
 */
import { FanoutError } from "../../core/errors.ts";
import type { Msg, NatsConnection } from "./client.ts";
import { closed, disconnected } from "./failure.ts";
import type { Inbox } from "./inbox.ts";

export interface Fetched {
	readonly seq: number;
	readonly subject: string;
	readonly data: Uint8Array;
	readonly time: string;
}

export interface Batch {
	readonly messages: readonly Fetched[];
	/** Matching messages that are left. */
	readonly pending: number;
	/** Last sequence of the replica that answered; of `multi_last` only. */
	readonly upTo: number | undefined;
}

export type BatchGet = (stream: string, request: object) => Promise<Batch>;

export function createBatchGet(nc: NatsConnection, inbox: Inbox, apiPrefix: string, timeoutMs: number): BatchGet {
	return (stream, request) =>
		new Promise((resolve, reject) => {
			const messages: Fetched[] = [];
			const what = `messages of ${stream}`;
			const message = (msg: Msg): boolean => {
				const { headers } = msg;
				const number = (name: string) => Number(headers?.get(name) || Number.NaN);
				switch (headers?.code ?? 0) {
					case 0:
						messages.push({
							seq: number("Nats-Sequence"),
							subject: headers?.get("Nats-Subject") ?? "",
							data: msg.data,
							time: headers?.get("Nats-Time-Stamp") ?? "",
						});
						return false;
					case 204: {
						const upTo = number("Nats-UpTo-Sequence");
						const pending = number("Nats-Num-Pending") || 0;
						resolve({ messages, pending, upTo: Number.isNaN(upTo) ? undefined : upTo });
						return true;
					}
					case 404:
						resolve({ messages, pending: 0, upTo: undefined });
						return true;
					case 503:
						reject(new FanoutError("TransportUnavailable", `nobody has ${what} at the moment`, { retryable: true }));
						return true;
					default:
						reject(
							new FanoutError("TransportRefused", `${what}: ${headers?.code} ${headers?.description}`, {
								data: { code: headers?.code },
							}),
						);
						return true;
				}
			};
			const failed = (reason: "timeout" | "disconnected" | "closed"): void => {
				if (reason === "closed") reject(closed());
				else if (reason === "disconnected") reject(disconnected());
				else {
					reject(
						new FanoutError("DeadlineExceeded", `${what} took longer than ${timeoutMs} ms`, {
							retryable: true,
							data: { timeoutMs },
						}),
					);
				}
			};
			const reply = inbox.expect({ message, failed }, timeoutMs);
			nc.publish(`${apiPrefix}.DIRECT.GET.${stream}`, JSON.stringify(request), { reply });
		});
}
