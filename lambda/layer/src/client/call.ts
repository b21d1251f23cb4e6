/** Calls what the application passed: its errors are its own, and reach it as uncaught ones, not as a broken frame. */
export function call<T>(listener: ((value: T) => void) | undefined, value: T): void {
	try {
		listener?.(value);
	} catch (error) {
		queueMicrotask(() => {
			throw error;
		});
	}
}
