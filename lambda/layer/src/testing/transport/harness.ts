/**
 * What the author of a transport gives to the contract suite. The suite knows no test runner: every case is a
 * function that throws. Cases start and close the transports that they ask for; a case that needs an ability which
 * the harness does not have says so as a reason, and the runner prints it as a skip.
 */
import type { Channel, ChannelKind } from "../../core/channel.ts";
import type { Transport } from "../../core/transport.ts";
import type { PromiseId } from "./promises.ts";

export interface Harness {
	/** A new transport that is not started, over the same backend each time. */
	createTransport(): Promise<Transport>;
	/** A namespace that no earlier case used. */
	namespace(): string;
	/** The one namespace that the backend serves, where there is only one: cases are then kept apart by tenants. */
	readonly onlyNamespace?: string;
	readonly limits: {
		/** How long an accepted envelope may take to be readable, in milliseconds. */
		readonly waitMs: number;
		/** Between two looks while waiting. */
		readonly pollMs?: number;
		/** How long start may take. */
		readonly startMs?: number;
		/** Events that a channel keeps at the most, where a count bounds it: publishing more loses the oldest. */
		readonly eventsPerChannel?: number;
	};
	/** The kind of channel that cases use unless they are about kinds; default `topic`. */
	readonly kind?: ChannelKind;
	/** Its transports reach one process only: two of them share nothing. */
	readonly alone?: boolean;
	/** It keeps no log: what is live is all there is, and only the cases that need no log can run. */
	readonly bare?: boolean;
	/** Makes the log lose its oldest event, at the least, and keep its newest. */
	forget?(channel: Channel): Promise<void>;
	/** Makes the log lose its past: everything is gone, and the next event is of a new epoch. */
	reset?(channel: Channel): Promise<void>;
	/** Timers of the clock that its transports were given; 0 is expected after all are closed. */
	waitingTimers?(): number;
}

export interface TransportCase {
	readonly id: string;
	readonly promises: readonly PromiseId[];
	/** Ends with the cited promises in brackets, for reports and the coverage check. */
	readonly title: string;
	/** Why it cannot run here; undefined when it can. */
	missing(harness: Harness): string | undefined;
	/** Throws when the transport breaks a promise. */
	run(harness: Harness): Promise<void>;
}

/** All other cases look into a log. */
const WITHOUT_LOG = new Set([
	"stream-many",
	"cursor-foreign",
	"close-twice",
	"close-unstarted",
	"close-leaves-nothing",
]);

export function defineCase(
	id: string,
	promises: readonly PromiseId[],
	title: string,
	run: (harness: Harness) => Promise<void>,
	missing: (harness: Harness) => string | undefined = () => undefined,
): TransportCase {
	const bare = (harness: Harness) => harness.bare === true && !WITHOUT_LOG.has(id);
	return {
		id,
		promises,
		title: `${title} [${promises.join("] [")}]`,
		missing: (harness) => (bare(harness) ? "the transport keeps no log" : missing(harness)),
		run,
	};
}
