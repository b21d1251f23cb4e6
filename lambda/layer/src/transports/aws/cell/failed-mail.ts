/**
 * What becomes of a queue's messages that cannot be handled: those that may be later are put back, soon and in order;
 * those that never can are copied to the error queue and passed over, so that their group goes on.
 */
import type { Clock } from "../../../core/clock.ts";
import { withDeadline } from "../../../core/deadline.ts";
import { isFanoutError } from "../../../core/errors.ts";
import type { Reports } from "./poster.ts";

export const MAX_BACKOFF_SECONDS = 60;
/** Receives, some minutes, after which a message goes on without its copy in the error queue. */
export const KEEP_ERROR_RECEIVES = 10;
/** Receives, some minutes, after which a message that is put back stands still: it and all behind it. */
export const STUCK_RECEIVES = 8;
/** How long putting a group back may take, out of the round's margin. */
const POSTPONE_TIMEOUT_MS = 2_000;

export interface FailedMail {
	readonly messageId: string;
	readonly body: string;
	readonly group: string;
	/** The `channel` attribute. */
	readonly channel: string | undefined;
	readonly receipt: string;
	readonly receives: number;
}

export interface FailedMailPorts {
	readonly clock: Clock;
	readonly report: Reports;
	/** Keeps a copy of a message that cannot be decoded. */
	keepError(record: FailedMail, code: string): Promise<void>;
	/** Shows the messages again after so many seconds. */
	postpone(records: readonly FailedMail[], seconds: number): Promise<void>;
}

export const bytesOf = ({ body }: FailedMail): number => Buffer.byteLength(body);

/** 1, 2, 4 … 60 s. */
export function backoffSeconds(receives: number): number {
	return Math.min(MAX_BACKOFF_SECONDS, 2 ** Math.min(Math.max(receives - 1, 0), 10));
}

export const codeOf = (error: unknown, otherwise: string): string => (isFanoutError(error) ? error.code : otherwise);
const nameOf = (error: unknown): string => (error instanceof Error ? error.name : "unknown");

export interface ErrorTally {
	undecodable: number;
	/** Undecodable messages that the error queue would not take. */
	uncopied: number;
}

/** An error queue that is full, gone or closed to this function delays a group, and does not hold it for ever. */
export async function setAside(
	ports: FailedMailPorts,
	record: FailedMail,
	code: string,
	tally: ErrorTally,
): Promise<void> {
	tally.undecodable += 1;
	ports.report("message cannot be decoded", { message: record.messageId, code });
	try {
		await ports.keepError(record, code);
	} catch (error) {
		if (record.receives < KEEP_ERROR_RECEIVES) throw error;
		tally.uncopied += 1;
		ports.report("message was lost without a copy", {
			message: record.messageId,
			bytes: bytesOf(record),
			error: nameOf(error),
		});
	}
}

/** Resolves whatever happens. */
export async function putBack(ports: FailedMailPorts, group: readonly FailedMail[], cause: unknown): Promise<void> {
	const seconds = backoffSeconds(Math.max(...group.map(({ receives }) => receives)));
	const detail = { group: group[0]?.group, messages: group.length, seconds, error: nameOf(cause) };
	ports.report("group was put back", detail);
	try {
		await withDeadline(ports.clock, POSTPONE_TIMEOUT_MS, "putting a group back", () => ports.postpone(group, seconds));
	} catch (error) {
		// It then comes back after the queue's own, longer, visibility timeout.
		ports.report("group was not postponed", { error: nameOf(error) });
	}
}
