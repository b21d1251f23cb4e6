/** Shows each message with where it arrived and how long it took, in one line, as soon as everybody has it. */
import type { Progress } from "../support/progress.ts";
import type { Arrival, Note } from "./tally.ts";

export interface LiveView {
	sent(note: Note): void;
	arrival(arrival: Arrival): void;
	/** Shows the note's line: when it is complete, or when waiting is over. */
	show(note: Note): void;
}

export function createLiveView(progress: Progress): LiveView {
	const arrivals = new Map<string, Arrival[]>();
	return {
		sent: (note) => void arrivals.set(note.id, []),
		arrival: (arrival) => void arrivals.get(arrival.note.id)?.push(arrival),
		show(note) {
			const got = arrivals.get(note.id) ?? [];
			arrivals.delete(note.id);
			const parts = got.map(({ listener, ms }) => `${listener.kind}@${listener.region} ${ms.toFixed(0)} ms`);
			progress.note(`${note.way.padEnd(42)} → ${parts.length === 0 ? "nobody" : parts.join(", ")}`);
		},
	};
}
