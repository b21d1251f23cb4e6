/**
 * Tasks for when a signal aborts. One listener for each signal, however many wait on it: an event target searches all
 * that it has at every addition, so thousands of waits on one signal would cost millions of steps.
 */
const waiting = new WeakMap<AbortSignal, Set<() => void>>();

/** Calls `task` once when the signal aborts, not when it has aborted already; what is returned forgets it. */
export function onAbort(signal: AbortSignal, task: () => void): () => void {
	let tasks = waiting.get(signal);
	if (tasks === undefined) {
		const own = new Set<() => void>();
		tasks = own;
		waiting.set(signal, own);
		const abort = () => {
			for (const each of own) each();
			own.clear();
		};
		signal.addEventListener("abort", abort, { once: true });
	}
	const own = tasks;
	own.add(task);
	return () => own.delete(task);
}
