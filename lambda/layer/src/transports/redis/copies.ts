/**
 * How many replicas have what was written. WAIT answers for all that its connection wrote before, and holds up what that
 * connection is asked after it: so one is under way at a time, and whoever asks meanwhile shares the next.
 */
import type { Redis } from "./client.ts";
import type { RedisSettings } from "./options.ts";

interface Round {
	readonly answer: Promise<number>;
	next: Promise<number> | undefined;
}

/** Whether as many replicas have, in time, what was written through this node's connection. */
export type Copies = (node: Redis) => Promise<boolean>;

export function createCopies({ replicas, timeoutMs }: NonNullable<RedisSettings["wait"]>): Copies {
	const rounds = new WeakMap<Redis, Round>();

	function begin(node: Redis): Promise<number> {
		const round: Round = { answer: node.wait(replicas, timeoutMs), next: undefined };
		rounds.set(node, round);
		const over = () => {
			if (round.next === undefined) rounds.delete(node);
		};
		round.answer.then(over, over);
		return round.answer;
	}

	return async (node) => {
		const { stream } = node;
		const round = rounds.get(node);
		const again = () => begin(node);
		if (round !== undefined) round.next ??= round.answer.then(again, again);
		const count = await (round?.next ?? begin(node));
		// A connection that came after the write says nothing of it.
		return node.stream === stream && count >= replicas;
	};
}
