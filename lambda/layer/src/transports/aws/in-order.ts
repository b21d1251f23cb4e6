/** Runs a task per item, at most `limit` at once, and yields the results in the items' order; the first failure ends it. */
export async function* inOrder<Item, Result>(
	items: readonly Item[],
	limit: number,
	task: (item: Item) => Promise<Result>,
): AsyncGenerator<Result> {
	const running: Promise<Result>[] = [];
	let next = 0;
	const startMore = () => {
		for (; next < items.length && running.length < limit; next += 1) {
			const result = task(items[next] as Item);
			// A later one may fail while an earlier one is awaited, or after the reader left: only its turn makes it an error.
			result.catch(() => undefined);
			running.push(result);
		}
	};
	startMore();
	for (let first = running.shift(); first !== undefined; first = running.shift()) {
		const result = await first;
		startMore();
		yield result;
	}
}
