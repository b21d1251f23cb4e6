/** What client streams are shown, as events; none is made while nobody listens. */
import type { StreamObserver } from "../core/client-feed.ts";
import type { Clock } from "../core/clock.ts";
import { emit, isObserved } from "./events.ts";

export function createStreamObserver(clock: Clock): StreamObserver {
	return {
		shown({ id, channel, publishedAt, trace }, isReplay) {
			if (!isObserved("deliver")) return;
			const event = { id, kind: channel.kind, isReplay, delayMs: clock.now() - publishedAt };
			emit("deliver", trace === undefined ? event : { ...event, trace });
		},
		lost: (reason) => emit("loss", { reason }),
		ended: (reason) => emit("end", { reason }),
	};
}
