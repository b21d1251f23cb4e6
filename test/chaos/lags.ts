/**
 * When messages were accepted and when they were shown, in one process's monotonic time. Brokers keep their logs in
 * parts, and a part that lost its leader accepts nothing until it has another one: that is an outage of this part. How
 * late a stream was counts from its message's acceptance, or from when its part accepted again, if it failed right then.
 */
import type { Verdict } from "./instances.ts";

export interface Lags {
	/** Before it is published; the part of the log that its channel is in. */
	sent(id: string, part: number): void;
	answered(id: string, verdict: Verdict): void;
	shown(stream: string, id: string): void;
	lines(): string[];
}

interface Life {
	readonly part: number;
	accepted?: number;
	shown?: number;
}

interface Outage {
	readonly from: number;
	readonly to: number;
}

/** Between two acceptances of one part, under a steady load. */
const OUTAGE_MS = 400;
/** What was accepted so shortly before an outage may have been lost on its way out by what failed. */
const JUST_BEFORE_MS = 1_000;
const LATE_MS = 3_000;

function outagesOf(accepted: readonly number[]): Outage[] {
	return accepted.flatMap((to, index) => {
		const from = accepted[index - 1] ?? to;
		return to - from > OUTAGE_MS ? [{ from, to }] : [];
	});
}

function lagOf({ accepted, shown }: Required<Life>, outages: readonly Outage[]): number {
	const hit = outages.filter(({ from, to }) => from - JUST_BEFORE_MS <= accepted && to <= shown && accepted <= to);
	return Math.max(0, shown - Math.max(accepted, ...hit.map(({ to }) => to)));
}

function distribution(values: readonly number[]): string {
	const sorted = values.toSorted((a, b) => a - b);
	const at = (share: number) =>
		(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(1);
	const late = sorted.filter((ms) => ms > LATE_MS).length;
	return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, worst ${at(1)} ms, ${late} over ${LATE_MS} ms`;
}

export function createLags(now: () => number = () => performance.now()): Lags {
	const lives = new Map<string, Life>();
	return {
		sent: (id, part) => void lives.set(id, { part }),
		answered(id, verdict) {
			const life = lives.get(id);
			if (life !== undefined && verdict === "accepted") life.accepted = now();
		},
		shown(_stream, id) {
			const life = lives.get(id);
			if (life !== undefined) life.shown ??= now();
		},
		lines() {
			const whole = [...lives.values()].filter(
				(life): life is Required<Life> => life.accepted !== undefined && life.shown !== undefined,
			);
			const outages = new Map<number, Outage[]>();
			for (const [part, all] of Map.groupBy(whole, (life) => life.part)) {
				outages.set(part, outagesOf(all.map(({ accepted }) => accepted).sort((a, b) => a - b)));
			}
			const lengths = [...outages.values()].flat().map(({ from, to }) => to - from);
			const raw = whole.map(({ accepted, shown }) => Math.max(0, shown - accepted));
			const lines = [`accepted until shown: ${distribution(raw)}`];
			if (lengths.length === 0) return lines;
			return [
				...lines,
				`the same, from when the part of the log accepted again: ${distribution(whole.map((life) => lagOf(life, outages.get(life.part) ?? [])))}`,
				`${lengths.length} outages of parts of the log, ${distribution(lengths)}`,
			];
		},
	};
}
