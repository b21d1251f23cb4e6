/**
 * What was received and not yet taken: bounded, in order. An item's `commit` runs when it is taken, so that a cursor
 * never runs ahead of the consumer; an item without a value is only committed. With a callback nothing is kept.
 */
import { call } from "./call.ts";

export interface Item<T> {
	readonly value?: T;
	commit(): void;
}

export interface Queue<T> extends AsyncIterable<T> {
	readonly hasRoom: boolean;
	push(item: Item<T>): void;
	/** No more will come; with an error the consumer is told it after what is left. */
	end(error?: unknown): void;
}

export function createQueue<T>(
	max: number,
	onMessage: ((value: T) => void) | undefined,
	/** Half of a full queue was taken. */
	onRoom: () => void,
): Queue<T> {
	const items: Item<T>[] = [];
	const waiters: (() => void)[] = [];
	let ended = false;
	let failure: { readonly error: unknown } | undefined;
	let wasFull = false;
	const wake = () => {
		for (const waiter of waiters.splice(0)) waiter();
	};

	async function next(): Promise<IteratorResult<T, undefined>> {
		for (;;) {
			const item = items.shift();
			if (item === undefined) {
				if (failure !== undefined) {
					const { error } = failure;
					failure = undefined;
					throw error;
				}
				if (ended) return { done: true, value: undefined };
				await new Promise<void>((resolve) => waiters.push(resolve));
				continue;
			}
			item.commit();
			if (wasFull && items.length <= max / 2) {
				wasFull = false;
				onRoom();
			}
			if (item.value !== undefined) return { done: false, value: item.value };
		}
	}

	return {
		get hasRoom() {
			return items.length < max;
		},
		push(item) {
			if (ended) return;
			if (onMessage !== undefined) {
				item.commit();
				if (item.value !== undefined) call(onMessage, item.value);
				return;
			}
			items.push(item);
			if (items.length >= max) wasFull = true;
			wake();
		},
		end(error) {
			if (ended) return;
			ended = true;
			if (error !== undefined) failure = { error };
			wake();
		},
		[Symbol.asyncIterator]: () => ({ next, return: async () => ({ done: true, value: undefined }) }),
	};
}
