/**
 * The pages that lanes ask for: a few at once on the connection that there is, and one at a time for each lane. A page
 * that is refused for the moment is asked for again later, and none meanwhile; one that is refused for good ends the
 * connection. What was asked for ends with it: its lanes ask again on the next one.
 */
import { type BackoffLimits, fullJitter } from "../core/backoff.ts";
import type { Clock, Timer } from "../core/clock.ts";
import type { FanoutError } from "../core/errors.ts";
import { formatPosition } from "../core/position.ts";
import type { Frame } from "./frames.ts";
import type { Lane } from "./lane.ts";
import type { Socket } from "./socket.ts";

const MAX_READS = 4;
const PAGE_ENTRIES = 100;
/** What a page is refused with for the moment: by its bound, or by a throttled table. */
const PASSING = new Set(["TransportRefused", "TransportUnavailable"]);

export interface ReadSettings {
	readonly clock: Clock;
	/** A number in [0, 1). */
	readonly random: () => number;
	readonly backoff: BackoffLimits;
}

export interface Reads {
	want(channel: string): void;
	start(on: Socket): void;
	stop(): void;
}

export function createReads({ clock, random, backoff }: ReadSettings, lanes: ReadonlyMap<string, Lane>): Reads {
	const wanted = new Set<string>();
	let socket: Socket | undefined;
	let running = 0;
	let refusals = 0;
	let rest: Timer | undefined;

	function more(): void {
		for (const channel of wanted) {
			if (socket === undefined || running >= MAX_READS || rest !== undefined) return;
			wanted.delete(channel);
			const from = lanes.get(channel)?.seen;
			if (from === undefined) continue;
			running += 1;
			const asked = { action: "read", channel, from: formatPosition(from), limit: PAGE_ENTRIES };
			const on = socket;
			// What comes of it once its socket is another is no longer of interest.
			const unless =
				<T>(act: (outcome: T) => void) =>
				(outcome: T) => {
					if (on !== socket) return;
					running -= 1;
					act(outcome);
				};
			on.request(asked).then(
				unless((frame) => answered(channel, frame)),
				unless((error: FanoutError) => refused(channel, on, error)),
			);
		}
	}

	function answered(channel: string, frame: Frame): void {
		refusals = 0;
		if (frame.t === "page") lanes.get(channel)?.page(frame);
		more();
	}

	function refused(channel: string, on: Socket, error: FanoutError): void {
		if (!PASSING.has(String(error.data.code))) {
			on.lose(error);
			return;
		}
		wanted.add(channel);
		if (rest !== undefined) return;
		rest = clock.after(fullJitter(refusals, backoff, random), () => {
			rest = undefined;
			more();
		});
		refusals += 1;
	}

	return {
		want(channel) {
			wanted.add(channel);
			more();
		},
		start(on) {
			socket = on;
		},
		stop() {
			socket = undefined;
			running = 0;
			wanted.clear();
			rest?.cancel();
			rest = undefined;
		},
	};
}
