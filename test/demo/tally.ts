/**
 * Counts of the demo: which message went which way, who must hear it, who did when. The history checker judges loss,
 * duplicates and order; a row is a way of publishing and a kind of client.
 */
import { createHistory } from "../support/history.ts";

export type ClientKind = "mcp" | "sse" | "ws";

export interface Listener {
	readonly id: string;
	readonly kind: ClientKind;
	readonly region: string;
	readonly channels: readonly string[];
}

export interface Note {
	readonly id: string;
	/** `tool call on a server`, `tool call on Lambda`, … */
	readonly way: string;
	readonly channel: string;
	/** Set where the order of one publisher's calls is promised: on its way to one session. */
	readonly publisher?: string;
	/** MCP listens carry change notifications only. */
	readonly kinds: readonly ClientKind[];
}

export interface Row {
	readonly path: string;
	readonly sent: number;
	readonly received: number;
	readonly p50: number;
	readonly p99: number;
	readonly duplicates: number;
	readonly outOfOrder: number;
	readonly lost: number;
}

export interface Arrival {
	readonly listener: Listener;
	readonly note: Note;
	readonly ms: number;
}

export interface Tally {
	listener(listener: Listener): void;
	sent(note: Note): void;
	received(listener: Listener, id: string): void;
	told(listener: Listener, reason: string): void;
	/** How many arrivals are still due. */
	missing(): number;
	rows(): Row[];
	/** What no row shows: leaks, gaps that were told, messages that nobody sent. */
	oddities(): string[];
}

const NAMESPACE = "demo";

export function createTally(onArrival: (arrival: Arrival) => void = () => {}): Tally {
	const history = createHistory();
	const listeners = new Map<string, Listener>();
	const notes = new Map<string, Note & { readonly at: number }>();
	const arrivals: Arrival[] = [];
	/** MCP listens follow `all`, and hear only changes: for the checker they have a channel of their own. */
	const laneOf = (channel: string, kind: ClientKind) => `${channel}/${kind === "mcp" ? "changes" : "messages"}`;
	const pathOf = (way: string, kind: ClientKind) => `${way} → ${kind}`;

	return {
		listener(listener) {
			listeners.set(listener.id, listener);
			const channels = listener.channels.map((channel) => laneOf(channel, listener.kind));
			history.opened({ id: listener.id, namespace: NAMESPACE, channels, place: listener.region });
		},
		sent(note) {
			notes.set(note.id, { ...note, at: performance.now() });
			for (const lane of new Set(note.kinds.map((kind) => laneOf(note.channel, kind)))) {
				const publisher = note.publisher ?? note.id;
				history.sent({ id: `${note.id}@${lane}`, namespace: NAMESPACE, channel: lane, publisher });
			}
		},
		received(listener, id) {
			const note = notes.get(id);
			history.received(listener.id, note === undefined ? id : `${id}@${laneOf(note.channel, listener.kind)}`);
			if (note === undefined) return;
			const arrival = { listener, note, ms: performance.now() - note.at };
			arrivals.push(arrival);
			onArrival(arrival);
		},
		told: (listener, reason) => history.told(listener.id, reason),
		missing: () => history.missing(),
		rows() {
			const findings = history.check();
			const found = (path: string, kind: string) =>
				findings.filter(({ kind: other, message, stream }) => {
					const note = notes.get(message?.split("@")[0] ?? "");
					return other === kind && note !== undefined && pathOf(note.way, kindOf(stream)) === path;
				}).length;
			const kindOf = (stream: string) => (listeners.get(stream) as Listener).kind;
			const paths = new Map<string, { due: number; times: number[] }>();
			for (const note of notes.values()) {
				for (const { kind, channels } of listeners.values()) {
					if (!note.kinds.includes(kind) || !channels.includes(note.channel)) continue;
					const path = pathOf(note.way, kind);
					const entry = paths.get(path) ?? { due: 0, times: [] };
					entry.due += 1;
					paths.set(path, entry);
				}
			}
			for (const { note, listener, ms } of arrivals) paths.get(pathOf(note.way, listener.kind))?.times.push(ms);
			return [...paths].map(([path, { due, times }]) => ({
				path,
				sent: due,
				received: times.length,
				p50: percentile(times, 0.5),
				p99: percentile(times, 0.99),
				duplicates: found(path, "duplicate"),
				outOfOrder: found(path, "order"),
				lost: found(path, "loss"),
			}));
		},
		oddities: () =>
			history
				.check()
				.filter(({ kind }) => kind === "leak" || kind === "invented" || kind === "told")
				.map(({ kind, stream, detail }) => `${kind} on ${stream}: ${detail}`),
	};
}

function percentile(times: readonly number[], share: number): number {
	const sorted = [...times].sort((a, b) => a - b);
	return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export function isClean(rows: readonly Row[], oddities: readonly string[]): boolean {
	const sound = rows.every((row) => row.sent > 0 && row.lost + row.duplicates + row.outOfOrder === 0);
	return rows.length > 0 && sound && oddities.length === 0;
}
