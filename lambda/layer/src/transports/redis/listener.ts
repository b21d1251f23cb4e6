/**
 * The subscribed connections of a transport: one, or one for each node of a cluster that has followed partitions. Waits
 * for partitions to stand, and says which stand again after they may have missed something.
 */
import type { Clock, Timer } from "../../core/clock.ts";
import { FanoutError } from "../../core/errors.ts";
import type { Node } from "./cluster.ts";
import { Line, type LineDeps } from "./line.ts";

export const BEAT_MS = 1_000;

export interface ListenerDeps extends Omit<LineDeps, "dial" | "stood"> {
	readonly clock: Clock;
	dial(node: Node | undefined): ReturnType<LineDeps["dial"]>;
	/** The node that has a partition now; undefined in a cluster: not known. Without a cluster there is one line. */
	readonly nodeOf: ((partition: number) => Node | undefined) | undefined;
	/** These partitions stand again: what was published meanwhile may have been missed. */
	restored(partitions: readonly number[]): void;
}

export interface Listener {
	/** Resolves when the partition is subscribed. */
	follow(partition: number): Promise<void>;
	unfollow(partition: number): void;
	close(): void;
}

interface Standing {
	readonly first: Promise<void>;
	stand(): void;
	fail(error: FanoutError): void;
	stood: boolean;
	line: string | undefined;
}

const ONLY = "only";

export function createListener(deps: ListenerDeps): Listener {
	const lines = new Map<string, Line>();
	const standings = new Map<number, Standing>();
	let timer: Timer | undefined;
	let closed = false;

	function stood(partitions: readonly number[]): void {
		const again: number[] = [];
		for (const partition of partitions) {
			const standing = standings.get(partition);
			if (standing === undefined) continue;
			if (standing.stood) again.push(partition);
			standing.stood = true;
			standing.stand();
		}
		if (again.length > 0) deps.restored(again);
	}

	function lineOf(name: string, node: Node | undefined): Line {
		let line = lines.get(name);
		if (line === undefined) {
			line = new Line({ ...deps, dial: () => deps.dial(node), stood });
			lines.set(name, line);
		}
		return line;
	}

	/** Puts a partition on the line of the node that has it now. */
	function place(partition: number, standing: Standing): void {
		const node = deps.nodeOf?.(partition);
		if (deps.nodeOf !== undefined && node === undefined) return;
		const name = node === undefined ? ONLY : `${node.host}:${node.port}`;
		if (standing.line === name) return;
		if (standing.line !== undefined) lines.get(standing.line)?.remove(partition);
		standing.line = name;
		lineOf(name, node).add(partition);
	}

	function tick(): void {
		for (const [partition, standing] of standings) place(partition, standing);
		for (const [name, line] of lines) {
			if (line.partitions.size > 0 || name === ONLY) line.tick();
			else {
				line.close();
				lines.delete(name);
			}
		}
		timer = deps.clock.after(BEAT_MS, tick);
	}

	timer = deps.clock.after(BEAT_MS, tick);
	return {
		follow(partition) {
			if (closed) return Promise.reject(new FanoutError("Closed", "the redis transport is closed"));
			let standing = standings.get(partition);
			if (standing === undefined) {
				const { promise, resolve, reject } = Promise.withResolvers<void>();
				promise.catch(() => {});
				standing = { first: promise, stand: resolve, fail: reject, stood: false, line: undefined };
				standings.set(partition, standing);
				place(partition, standing);
			}
			return standing.first;
		},
		unfollow(partition) {
			const standing = standings.get(partition);
			if (standing === undefined) return;
			standings.delete(partition);
			if (standing.line !== undefined) lines.get(standing.line)?.remove(partition);
			standing.fail(new FanoutError("Closed", "the partition is followed no more"));
		},
		close() {
			closed = true;
			timer?.cancel();
			for (const line of lines.values()) line.close();
			lines.clear();
			for (const { fail } of standings.values()) fail(new FanoutError("Closed", "the redis transport is closed"));
			standings.clear();
		},
	};
}
