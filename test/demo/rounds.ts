/** What the demo publishes: a fixed round in which every way is used, or one message after another until Ctrl-C. */
import { setTimeout as sleep } from "node:timers/promises";
import type { LiveView } from "./live.ts";
import type { Way } from "./publishers.ts";
import type { Note, Tally } from "./tally.ts";

const NOTES_PER_WAY = 20;
const ARRIVAL_DEADLINE_MS = 20_000;
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

/** All ways at once, each one message after another. */
export async function runOnce(ways: readonly Way[], tally: Tally, view: LiveView): Promise<void> {
	const notes = await Promise.all(
		ways.map(async (way) => {
			const sent: Note[] = [];
			for (let n = 0; n < NOTES_PER_WAY; n += 1) sent.push(await publish(way, tally, view));
			return sent;
		}),
	);
	await settle(tally, ARRIVAL_DEADLINE_MS);
	await sleep(SETTLE_MS);
	for (const sent of notes) for (const note of sent.slice(-1)) view.show(note);
}

export async function runForever(
	ways: readonly Way[],
	tally: Tally,
	view: LiveView,
	signal: AbortSignal,
): Promise<void> {
	for (let turn = 0; !signal.aborted; turn += 1) {
		const note = await publish(ways[turn % ways.length] as Way, tally, view);
		await settle(tally, LIVE_EVERY_MS);
		view.show(note);
		await sleep(LIVE_EVERY_MS, undefined, { signal }).catch(() => undefined);
	}
	await settle(tally, ARRIVAL_DEADLINE_MS);
}
