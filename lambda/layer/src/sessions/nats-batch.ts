/**
 * The bucket's messages from a sequence on, some at a time, from whichever replica is near: one that is behind has fewer.
 * Each answer names the one that was sent before it, so what was lost on the way is an error and no gap.
 */
import type { Msg, NatsConnection } from "@nats-io/transport-node";
import { FanoutError } from "../core/errors.ts";
import { onAbort } from "../core/on-abort.ts";
import { loadClient } from "./load.ts";

export interface BucketMessage {
	readonly seq: number;
	readonly subject: string;
	/** Empty where the key was removed. */
	readonly data: Uint8Array;
}

export interface Batch {
	readonly messages: readonly BucketMessage[];
	/** Matching messages that are left. */
	readonly pending: number;
}

export interface BatchAsk {
	/** JetStream's API subject. */
	readonly api: string;
	readonly stream: string;
	/** What the keys of the messages match. */
	readonly filter: string;
	readonly from: number;
	readonly count: number;
}

/** At a time; the server's own bound is 1,024. */
export const MAX_BATCH = 1_000;
const MAX_BYTES = 256 * 1024;
const [END, NOTHING] = [204, 404];

/** Ends with the signal, whatever the server does. */
export function readBatch(
	connection: NatsConnection,
	{ api, stream, filter, from, count }: BatchAsk,
	signal: AbortSignal,
): Promise<Batch> {
	if (signal.aborted) return Promise.reject(signal.reason);
	const { inboxPrefix } = (connection as { readonly options?: { readonly inboxPrefix?: string } }).options ?? {};
	const reply = loadClient("@nats-io/transport-node").createInbox(inboxPrefix);
	const messages: BucketMessage[] = [];
	const { promise, resolve, reject } = Promise.withResolvers<Batch>();
	const take = ({ headers, data }: Msg): void => {
		const code = headers?.code ?? 0;
		const number = (name: string) => Number(headers?.last(name) || 0);
		if (code === NOTHING) resolve({ messages, pending: 0 });
		else if (code !== 0 && code !== END) reject(failed(`${code} ${headers?.description ?? ""}`));
		else if (number("Nats-Last-Sequence") !== (messages.at(-1)?.seq ?? 0)) reject(failed("some were lost on the way"));
		else if (code === END) resolve({ messages, pending: number("Nats-Num-Pending") });
		else messages.push({ seq: number("Nats-Sequence"), subject: headers?.last("Nats-Subject") ?? "", data });
	};
	const subscription = connection.subscribe(reply, {
		callback: (error, message) => (error === null ? take(message) : reject(error)),
	});
	const forget = onAbort(signal, () => reject(signal.reason));
	const ask = { seq: from, next_by_subj: filter, batch: count, max_bytes: MAX_BYTES };
	connection.publish(`${api}.DIRECT.GET.${stream}`, JSON.stringify(ask), { reply });
	return promise.finally(() => {
		forget();
		if (!connection.isClosed()) subscription.unsubscribe();
	});
}

function failed(why: string): FanoutError {
	return new FanoutError("TransportUnavailable", `the registry's bucket was not read: ${why}`, { retryable: true });
}
