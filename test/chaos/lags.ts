/**
 * When messages were accepted and when they were shown: after each disturbance, how long the cluster took to accept
 * again, and how long after that every stream was whole. Times of one process's monotonic clock.
 */
export interface Lags {
	/** A message's stream showed it. */
	shown(stream: string, id: string): void;
	/** Its publisher was answered. */
	answered(id: string, verdict: string): void;
	disturbed(at: number): void;
	lines(): string[];
}

interface Life {
	accepted?: number;
	shown?: number;
}

export function createLags(now: () => number = () => performance.now()): Lags {
	const lives = new Map<string, Life>();
	const disturbances: number[] = [];

	const lifeOf = (id: string): Life => {
		let life = lives.get(id);
		if (life === undefined) {
			life = {};
			lives.set(id, life);
		}
		return life;
	};

	return {
		shown(_stream, id) {
			lifeOf(id).shown ??= now();
		},
		answered(id, verdict) {
			if (verdict === "accepted") lifeOf(id).accepted ??= now();
		},
		disturbed: (at) => void disturbances.push(at),
		lines() {
			const whole = [...lives.values()].filter((life): life is Required<Life> => {
				return life.accepted !== undefined && life.shown !== undefined;
			});
			const lagOf = ({ accepted, shown }: Required<Life>) => Math.max(0, shown - accepted);
			const lags = whole.map(lagOf).sort((a, b) => a - b);
			const at = (share: number) => (lags[Math.min(lags.length - 1, Math.floor(lags.length * share))] ?? 0).toFixed(1);
			const late = lags.filter((lag) => lag > 3_000).length;
			const stalls = disturbances.map((from, index) => {
				const to = disturbances[index + 1] ?? Number.POSITIVE_INFINITY;
				const accepted = whole.map((life) => life.accepted).filter((time) => time > from && time < to);
				accepted.sort((a, b) => a - b);
				return accepted.reduce((worst, time, n) => Math.max(worst, time - (accepted[n - 1] ?? from)), 0);
			});
			const shown = [
				`accepted until shown: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, worst ${at(1)} ms; ${late} over 3 s`,
			];
			if (stalls.length === 0) return shown;
			const rounded = (list: readonly number[]) => list.map((ms) => Math.round(ms)).join(", ");
			return [...shown, `longest time without an acceptance after each kill: ${rounded(stalls)} ms`];
		},
	};
}
