/**
 * What the posts of one invocation share: the moment at which they end, how fast they may follow one another, and how
 * the connections fare. API Gateway answers 429 for a connection that reads too slowly and for an account that posts
 * too much, and 5xx when it fails; only the other connections of the round tell whose fault it is.
 */
import { type Clock, pause } from "../../../core/clock.ts";

/** Kept of an invocation's time for what follows the posts: forgetting rows, putting groups back, metrics. */
export const ROUND_MARGIN_MS = 4_000;

export interface PostRound {
	/** Milliseconds in which posts may still be made; never under 0. */
	left(): number;
	/** Resolves when the next post may be made; at the latest when the round ends. */
	turn(): Promise<void>;
	/** A mark for `isAlone`: now, in the order of outcomes. */
	mark(): number;
	posted(id: string): void;
	refused(id: string): void;
	/** Since the mark others were served, and at most one other in four was refused. */
	isAlone(id: string, since: number): boolean;
}

/** `remainingMs`: what the function has left until its timeout. `perSecond`: posts, as many as come when absent. */
export function createPostRound(clock: Clock, remainingMs: number, perSecond = Number.POSITIVE_INFINITY): PostRound {
	const endsAt = clock.monotonic() + remainingMs - ROUND_MARGIN_MS;
	const left = () => Math.max(0, endsAt - clock.monotonic());
	let nextTurn = Number.NEGATIVE_INFINITY;
	const lastPosted = new Map<string, number>();
	const lastRefused = new Map<string, number>();
	let outcomes = 0;
	return {
		left,
		async turn() {
			const now = clock.monotonic();
			const at = Math.max(now, nextTurn);
			nextTurn = at + 1000 / perSecond;
			if (at > now) await pause(clock, Math.min(at - now, left()), undefined, true);
		},
		mark: () => outcomes,
		posted(id) {
			outcomes += 1;
			lastPosted.set(id, outcomes);
		},
		refused(id) {
			outcomes += 1;
			lastRefused.set(id, outcomes);
		},
		isAlone(id, since) {
			const limited = [...lastRefused].filter(([other, at]) => other !== id && at > since).length;
			const served = [...lastPosted].filter(
				([other, at]) => other !== id && at > since && (lastRefused.get(other) ?? 0) <= since,
			).length;
			return served > 0 && limited * 3 <= served;
		},
	};
}

/** In an order of chance: when the time ends before the list, it is not always the same ones that are left out. */
export function shuffled<T>(items: readonly T[], random: () => number): T[] {
	const all = [...items];
	for (let at = all.length - 1; at > 0; at -= 1) {
		const other = Math.floor(random() * (at + 1));
		[all[at], all[other]] = [all[other] as T, all[at] as T];
	}
	return all;
}
