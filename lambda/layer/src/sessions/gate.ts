/** Lets so many works run at once; the others come in the order in which they asked. */
export interface Gate {
	run<T>(work: () => Promise<T>): Promise<T>;
}

export function createGate(width: number): Gate {
	const waiting: (() => void)[] = [];
	let inside = 0;
	return {
		async run(work) {
			// Who leaves hands its place over, so that nobody slips in between.
			if (inside >= width) await new Promise<void>((enter) => void waiting.push(enter));
			else inside += 1;
			try {
				return await work();
			} finally {
				const next = waiting.shift();
				if (next === undefined) inside -= 1;
				else next();
			}
		},
	};
}
