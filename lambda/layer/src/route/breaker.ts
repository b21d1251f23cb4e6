/**
 * A target's circuit breaker: cockatiel's states, our conditions (trip.ts) and our time. States:
 *
 *   closed --tripped--> open --openMs, jittered--> admits one probe: half-open
 *   half-open --probe succeeded--> closed;  half-open --probe failed--> open, for twice as long, at most maxOpenMs
 *
 * cockatiel measures the pause by the wall clock and lets callers wait for a probe: so it is told that the pause is
 * over always, and is asked only when a probe is due by the monotonic clock and none is under way.
 */
import { type CircuitBreakerPolicy, CircuitState, circuitBreaker, handleWhenResult, type IBackoff } from "cockatiel";
import type { Clock, Timer } from "../core/clock.ts";
import type { Gate, GateState } from "../core/gate.ts";
import type { BreakerOptions } from "./options.ts";
import { Trip } from "./trip.ts";

export interface BreakerDeps {
	readonly clock: Clock;
	/** Read at each use: they may be changed meanwhile. */
	readonly options: BreakerOptions;
	random(): number;
}

/** What an attempt throws through cockatiel when it says nothing about the target. */
const NEUTRAL = Symbol("neutral");
const OVER: IBackoff<unknown> = { duration: Number.NEGATIVE_INFINITY, next: () => OVER };

export function createBreaker({ clock, options, random }: BreakerDeps): Gate {
	const trip = new Trip(clock, options);
	const policy: CircuitBreakerPolicy = circuitBreaker(
		handleWhenResult((verdict) => verdict === "failure"),
		{ breaker: trip, halfOpenAfter: OVER },
	);
	const listeners: ((state: GateState) => void)[] = [];
	let state: GateState = "closed";
	let failedProbes = 0;
	let isDue = false;
	let timer: Timer | undefined;
	let isClosed = false;

	const tell = (): void => {
		for (const listener of listeners) listener(state);
	};
	policy.onStateChange((now) => {
		timer?.cancel();
		isDue = false;
		if (now === CircuitState.Closed) failedProbes = 0;
		if (now === CircuitState.Open && state === "half-open") failedProbes += 1;
		state = now === CircuitState.Closed ? "closed" : now === CircuitState.Open ? "open" : "half-open";
		if (state === "open" && !isClosed) {
			const pause = Math.min(options.maxOpenMs, options.openMs * 2 ** Math.min(failedProbes, 30));
			timer = clock.after(pause * (1 - options.jitter * random()), () => {
				isDue = true;
				tell();
			});
		}
		tell();
	});

	return {
		get state() {
			return state;
		},
		get admits() {
			return state === "closed" || (state === "open" && isDue);
		},
		async offer(attempt) {
			const isProbe = state !== "closed";
			try {
				await policy.execute(async () => {
					const verdict = await attempt();
					if (verdict !== "neutral") return verdict;
					if (isProbe) trip.closedUnproven();
					throw NEUTRAL;
				});
			} catch (thrown) {
				if (thrown !== NEUTRAL) throw thrown;
			}
		},
		onChange(listener) {
			listeners.push(listener);
		},
		close() {
			isClosed = true;
			timer?.cancel();
			listeners.length = 0;
		},
	};
}
