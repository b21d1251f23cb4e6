/** The promises as data: tests cite their ids, the coverage check and docs/guarantees.md read the same list. */
export interface Promised {
	readonly id: PromiseId;
	readonly name: string;
	readonly text: string;
	/** Where it does not hold, each with what the reader is told then. */
	readonly exceptions?: readonly string[];
	/** Where the duty comes from. */
	readonly source: string;
}

export type PromiseId = "P1" | "P2" | "P3" | "P4" | "P5" | "P6" | "P7" | "P8" | "P9" | "P10";

export const PROMISES: readonly Promised[] = [
	{
		id: "P1",
		name: "acceptance is stated",
		text: "send and publish resolve when a routed lane has accepted by its own acknowledgement; the receipt names lane, reach, durability, and what failed. Kept for a lane that refused is queued, not accepted. When nothing is accepted or queued, the call fails with every cause.",
		source: "core/transport.ts Outcome; publish",
	},
	{
		id: "P2",
		name: "order",
		text: "A client stream sees a lane in the lane's order. One publisher's messages to one channel enter it in call order. There is no order across lanes.",
		exceptions: [
			"A publish that failed as uncertain may enter later than its place, when the network or a server that was held still lets it go, or not at all.",
		],
		source: "core/transport.ts Transport.publish",
	},
	{
		id: "P3",
		name: "gapless or told",
		text: "A client stream sees each envelope after its cursor, or a later one that says no less, or it is ended or marked with a reason. A lost end is found within the transport's stated endCheckMs.",
		exceptions: [
			"What was routed to two lanes, and the first refuses for good, or cannot be reached for longer than the outbox keeps it, is shown only where the first is not followed. Its publisher is told.",
		],
		source: "core/transport.ts Verdict, Transport.ends; deliver",
	},
	{
		id: "P4",
		name: "once per client stream",
		text: "Only the copy on a client stream's home lane moves its cursor, copies on its other lanes are skipped, and a lane refuses an id that it holds within its dedupMs.",
		exceptions: [
			"A client that resumes between the two copies of an envelope that was routed to two lanes may see it twice. So may one that was shown an early copy and resumes before the heartbeat after its home copy.",
			"A client that reconnects without its cursor sees again what it asks for again.",
			"A log that lost its past lost its ids too: a publish that is retried across the loss may be stored twice. Streams are told `epoch` at that place, and the message may stand on both sides of it.",
		],
		source: "core/transport.ts Capabilities.dedupMs; deliver/feed",
	},
	{
		id: "P5",
		name: "isolation",
		text: "A stream sees only the channels it was opened with. A cursor reaches no other channel's log, nor earlier than the authorisation. Namespaces and tenants never mix.",
		source: "core/channel.ts; core/cursor.ts",
	},
	{
		id: "P6",
		name: "bounded",
		text: "Memory per stream, per channel and in every queue has a configured bound.",
		source: "transports/local/options.ts; stream/queue.ts; publish",
	},
	{
		id: "P7",
		name: "fail fast, degrade, recover",
		text: "A dead transport costs a publisher at most its deadline until the breaker opens, then nothing; local streams go on; recovery needs no restart, keeps each lane's order, and delivers what was accepted or is still queued.",
		source: "core/deadline.ts; route; publish",
	},
	{
		id: "P8",
		name: "one owner",
		text: "Registry writes of a stale owner are refused; an owner acts only inside its lease by its own monotonic clock. Between regions ownership converges within the replication lag.",
		source: "transports/aws/home.ts; sessions",
	},
	{
		id: "P9",
		name: "nothing un-awaited",
		text: "flush waits for what was handed over; close is idempotent and leaves no timer, socket or listener.",
		source: "core/transport.ts Transport.close",
	},
	{
		id: "P10",
		name: "no content in logs",
		text: "Notification content and secrets are in no log line, metric or trace.",
		source: "observe; every report",
	},
];
