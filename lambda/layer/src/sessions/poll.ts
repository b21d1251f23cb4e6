/** Looks again and again at all versions, and tells what differs: nothing is missed by a look that failed. */
import type { Clock, Timer } from "../core/clock.ts";
import { withDeadline } from "../core/deadline.ts";

export interface VersionPoll {
	look(signal: AbortSignal): Promise<Map<string, string>>;
	changed(id: string): void;
	failed(error: unknown): void;
}

/** The returned function stops it. */
export function pollVersions(clock: Clock, everyMs: number, first: Map<string, string>, poll: VersionPoll): () => void {
	const stop = new AbortController();
	let before = first;
	let timer: Timer | undefined;

	async function round(): Promise<void> {
		try {
			const now = await withDeadline(clock, 4 * everyMs, "a look at the registry", poll.look, stop.signal);
			if (stop.signal.aborted) return;
			const old = before;
			before = now;
			for (const [id, version] of now) if (old.get(id) !== version) poll.changed(id);
			for (const id of old.keys()) if (!now.has(id)) poll.changed(id);
		} catch (error) {
			if (stop.signal.aborted) return;
			poll.failed(error);
		}
		next();
	}

	function next(): void {
		timer = clock.after(everyMs, () => void round());
	}

	next();
	return () => {
		stop.abort();
		timer?.cancel();
	};
}
