/** Deadlines: every wait on something outside has one, and its error names what was waited for and how long. */
import type { Clock } from "./clock.ts";
import { FanoutError } from "./errors.ts";
import { onAbort } from "./on-abort.ts";

/**
 * Runs `task` under a deadline. The task's signal aborts at the deadline or when the caller's signal does; the
 * returned promise settles then, even when the task ignores its signal.
 */
export async function withDeadline<T>(
	clock: Pick<Clock, "after">,
	timeoutMs: number,
	what: string,
	task: (signal: AbortSignal) => Promise<T>,
	outer?: AbortSignal,
): Promise<T> {
	const controller = new AbortController();
	if (outer?.aborted) throw new FanoutError("Aborted", `${what} was aborted`, { cause: outer.reason });
	const work = task(controller.signal);
	let settled = false;
	const settle = () => {
		settled = true;
	};
	work.then(settle, settle);
	await undefined;
	// What answered within its own turn needs no timer and no listeners: they would cost more than the work.
	if (settled) return work;
	let fail: (error: FanoutError) => void = () => {};
	const failed = new Promise<never>((_resolve, reject) => {
		fail = (error) => {
			reject(error);
			controller.abort(error);
		};
	});
	const onOuter = () => fail(new FanoutError("Aborted", `${what} was aborted`, { cause: outer?.reason }));
	if (outer?.aborted) onOuter();
	const forget = outer && onAbort(outer, onOuter);
	const onDeadline = () => {
		const message = `${what} took longer than ${Math.round(timeoutMs)} ms`;
		fail(new FanoutError("DeadlineExceeded", message, { retryable: true, data: { timeoutMs } }));
	};
	// Somebody awaits this: a process with nothing else to do must live to hear of it.
	const timer = clock.after(timeoutMs, onDeadline, true);
	try {
		return await Promise.race([work, failed]);
	} finally {
		timer.cancel();
		forget?.();
	}
}
