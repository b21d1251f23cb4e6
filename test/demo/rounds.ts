/** What the demo publishes: a fixed round in which every way is used, or one message after another until Ctrl-C. */
import { setTimeout as sleep } from "node:timers/promises";
import type { LiveView } from "./live.ts";
import type { Way } from "./publishers.ts";
import type { Note, Tally } from "./tally.ts";

const NOTES_PER_WAY = 20;
/** Of the fixed round, so many turns are shown note by note. */
const SHOWN_TURNS = 2;
/** How long the next note waits for this one; a late one may still come until the end. */
const NOTE_DEADLINE_MS = 2_000;
const ARRIVAL_DEADLINE_MS = 60_000;
/** After the last arrival: what comes twice comes by then. */
const SETTLE_MS = 1_500;
const LIVE_EVERY_MS = 1_000;

let count = 0;

async function publish(way: Way, tally: Tally, view: LiveView): Promise<Note> {
	count += 1;
	const { name, channel, kinds, publisher } = way;
	const base = { id: `note-${count}`, way: name, channel, kinds };
	const note: Note = publisher === undefined ? base : { ...base, publisher };
	view.sent(note);
	tally.sent(note);
	await way.publish(note.id);
	return note;
}

async function settle(tally: Tally, deadlineMs: number): Promise<void> {
	const end = performance.now() + deadlineMs;
	while (tally.missing() > 0 && performance.now() < end) await sleep(20);
}

/** Every way in turn, one message at a time: what the table then shows is the way's own latency, not a queue's. */
export async function runOnce(ways: readonly Way[], tally: Tally, view: LiveView): Promise<void> {
	for (let turn = 0; turn < NOTES_PER_WAY; turn += 1) {
		for (const way of ways) {
			const note = await publish(way, tally, view);
			await settle(tally, NOTE_DEADLINE_MS);
			if (turn < SHOWN_TURNS) view.show(note);
		}
	}
	await settle(tally, ARRIVAL_DEADLINE_MS);
	await sleep(SETTLE_MS);
}

export async function runForever(
	ways: readonly Way[],
	tally: Tally,
	view: LiveView,
	signal: AbortSignal,
): Promise<void> {
	for (let turn = 0; !signal.aborted; turn += 1) {
		const note = await publish(ways[turn % ways.length] as Way, tally, view);
		await settle(tally, NOTE_DEADLINE_MS);
		view.show(note);
		await sleep(LIVE_EVERY_MS, undefined, { signal }).catch(() => undefined);
	}
	await settle(tally, ARRIVAL_DEADLINE_MS);
}
