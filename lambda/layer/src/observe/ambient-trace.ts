/** The caller's trace context at each publish. What fails or is no context is none: tracing keeps nothing from its way. */
import { isTrace } from "../core/envelope.ts";

export function ambientTrace(ask: (() => string | undefined) | undefined): () => string | undefined {
	if (ask === undefined) return () => undefined;
	return () => {
		try {
			const trace = ask();
			return isTrace(trace) ? trace : undefined;
		} catch {
			return undefined;
		}
	};
}
