/**
 * Seals: a region that takes a session ends the log that the session leaves, in the region where it was, with a row
 * that says so. What is in that log is final then: its own region refuses to add to it and sends on what still comes, and
 * who resumes here reads it to the seal, then goes on. Where the other region does not answer in time there is no seal,
 * and who resumes is told `gap`. So is who was here before and did not leave: each stay of a session is apart from the
 * one before in the log, by the seal or by a row without an envelope.
 */
import type { Clock } from "../../../core/clock.ts";
import { withDeadline } from "../../../core/deadline.ts";
import { deriveId } from "../../../core/ids.ts";
import type { Position } from "../../../core/position.ts";
import type { Home } from "../home.ts";
import type { Log } from "../log.ts";
import type { Seal } from "../log-row.ts";
import { forEachBounded, type Reports } from "./poster.ts";

/** For all sessions of one frame: API Gateway waits for its answer. */
export const SEAL_TIMEOUT_MS = 3_000;
const SEAL_CONCURRENCY = 64;

/** A session that was taken from another region. */
export interface Taken {
	readonly session: string;
	readonly from: string;
	readonly seal: Seal;
}

export interface SealPorts {
	readonly clock: Clock;
	readonly report: Reports;
	logIn(region: string): Pick<Log, "append">;
}

export interface HomePorts {
	/** The own region. */
	readonly region: string;
	readonly log: Pick<Log, "append" | "tail">;
	readonly home: Pick<Home, "claim">;
}

/** Makes this region a session's home; says from where it was taken. */
export async function takeHome({ region, log, home }: HomePorts, session: string): Promise<Taken | undefined> {
	let start: Position | undefined;
	const { counter: claim, from } = await home.claim(session, async (other) => {
		// Before the claim: all that comes by it is after this end.
		const { end, seal } = await log.tail(session, 1);
		const apart = { id: deriveId("apart", other.region, String(other.counter)) };
		start = seal?.claim === other.counter ? end : (await log.append(session, [apart]))[0]?.position;
	});
	return from === undefined || start === undefined ? undefined : { session, from, seal: { claim, to: region, start } };
}

export async function sealAll(ports: SealPorts, all: readonly Taken[]): Promise<void> {
	if (all.length === 0) return;
	const failed = (error: unknown, sessions: number) =>
		ports.report("log was not sealed", { sessions, error: error instanceof Error ? error.name : "unknown" });
	try {
		await withDeadline(ports.clock, SEAL_TIMEOUT_MS, "sealing logs of other regions", (signal) =>
			forEachBounded(all, SEAL_CONCURRENCY, async ({ session, from, seal }) => {
				const row = { id: deriveId("seal", seal.to, String(seal.claim)), seal };
				try {
					await ports.logIn(from).append(session, [row], { signal });
				} catch (error) {
					if (!signal.aborted) failed(error, 1);
				}
			}),
		);
	} catch (error) {
		failed(error, all.length);
	}
}
