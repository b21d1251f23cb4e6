/** What is under way for sessions here: counted by session, and waited for. */
import type { Channel } from "../core/channel.ts";
import { type Clock, pause } from "../core/clock.ts";

export interface Uses {
	/** `last` is called when nothing of the session is under way any more. What is returned ends this use, once. */
	begin(session: Channel, last: () => void): () => void;
	has(session: Channel): boolean;
	/** Resolves when nothing is under way, or when the time is over. */
	over(withinMs: number): Promise<void>;
}

export function createUses(clock: Clock): Uses {
	const counts = new Map<string, number>();
	let whenOver: PromiseWithResolvers<void> | undefined;
	return {
		begin({ key }, last) {
			counts.set(key, (counts.get(key) ?? 0) + 1);
			let isOver = false;
			return () => {
				if (isOver) return;
				isOver = true;
				const left = (counts.get(key) ?? 1) - 1;
				if (left > 0) {
					counts.set(key, left);
					return;
				}
				counts.delete(key);
				last();
				if (counts.size === 0) whenOver?.resolve();
			};
		},
		has: ({ key }) => counts.has(key),
		async over(withinMs) {
			if (counts.size === 0 || withinMs <= 0) return;
			whenOver ??= Promise.withResolvers();
			const waiting = new AbortController();
			await Promise.race([whenOver.promise, pause(clock, withinMs, waiting.signal, true)]);
			waiting.abort();
		},
	};
}
