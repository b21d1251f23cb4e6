/**
 * Tracks on a transport that a client stream began to follow while it was open. Until such a track is where it starts,
 * it is nobody's home; and what other lanes of its channel had shown by then is not shown from it again.
 */
import type { Reason } from "../core/client-feed.ts";
import type { Position } from "../core/position.ts";
import type { Engine } from "./engine.ts";
import type { Lane } from "./lane.ts";
import type { Track } from "./track.ts";

/** What a feed does when engines come and go. New feeds follow `engines` as they are then. */
export interface ExchangedFeed {
	/**
	 * Follows the same channels on one more, from now on. Who else publishes there may have begun earlier, so the stream
	 * is told `gap`, unless nobody else can.
	 */
	follow(engine: Engine): Promise<void>;
	/** New feeds follow other engines, or the same in another order, from this turn on. */
	swapped?(): void;
	ended(reason: Reason): void;
}

/** Up to where a lane was shown. */
interface Shown {
	readonly lane: Lane;
	readonly position: Position;
}

export class JoinedLater {
	/** Undefined: not where it starts yet. */
	readonly #tracks = new Map<Track, readonly Shown[] | undefined>();

	expect(track: Track): void {
		this.#tracks.set(track, undefined);
	}

	isExpected(track: Track): boolean {
		return this.#tracks.has(track) && this.#tracks.get(track) === undefined;
	}

	/** It starts now, beside these. */
	begins(track: Track, others: readonly Track[]): void {
		if (!this.#tracks.has(track)) return;
		const { channel } = track.lane;
		const same = others.filter(({ lane }) => lane !== track.lane && lane.channel.key === channel.key);
		this.#tracks.set(
			track,
			same.map(({ lane, position }) => ({ lane, position })),
		);
	}

	/** Whether another lane had shown this envelope before the track started, as far as memory goes back. */
	wasShown(track: Track, id: string): boolean {
		return this.#tracks.get(track)?.some(({ lane, position }) => lane.recent?.passed(id, position)) ?? false;
	}
}
