/** What is promised in groups, as it comes: each group in its own order, and then the first failure, if there was one. */
export async function* asTheyCome<T>(groups: readonly (readonly Promise<T>[])[]): AsyncGenerator<T> {
	const found: T[] = [];
	const failures: unknown[] = [];
	let left = groups.length;
	let wake = () => {};

	async function take(group: readonly Promise<T>[]): Promise<void> {
		try {
			for (const one of group) {
				found.push(await one);
				wake();
			}
		} catch (error) {
			failures.push(error);
		}
		left -= 1;
		wake();
	}

	for (const group of groups) {
		// One behind another that fails is awaited by nobody.
		for (const one of group) one.catch(() => {});
		void take(group);
	}
	while (left > 0 || found.length > 0) {
		const next = found.shift();
		if (next !== undefined) yield next;
		else {
			await new Promise<void>((resolve) => {
				wake = resolve;
			});
		}
	}
	if (failures.length > 0) throw failures[0];
}
