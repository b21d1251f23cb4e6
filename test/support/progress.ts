/** Visible progress: each step is one line when it starts and one with its time when it ends. */
export interface Progress {
	note(text: string): void;
	step<T>(text: string, work: () => Promise<T>): Promise<T>;
}

export function createProgress(write: (line: string) => void = (line) => console.log(line)): Progress {
	const started = performance.now();
	const stamp = () => `[${((performance.now() - started) / 1000).toFixed(1).padStart(6)} s]`;
	return {
		note: (text) => write(`${stamp()} ${text}`),
		async step(text, work) {
			const from = performance.now();
			write(`${stamp()} ${text} …`);
			try {
				const value = await work();
				write(`${stamp()} ${text}: done in ${((performance.now() - from) / 1000).toFixed(1)} s`);
				return value;
			} catch (error) {
				write(`${stamp()} ${text}: FAILED after ${((performance.now() - from) / 1000).toFixed(1)} s`);
				throw error;
			}
		},
	};
}

export const silent: Progress = { note: () => {}, step: (_text, work) => work() };
