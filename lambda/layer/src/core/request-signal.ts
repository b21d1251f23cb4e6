/**
 * The signal of a request, which hears of an abort for as long as it is held. Node's own does so only while its Request is
 * held too: a Request made with the signal of a connection follows it weakly, and whoever keeps the signal alone, as a
 * stream does that outlives its handler's call, is never told that the client left.
 */
const requests = new WeakMap<AbortSignal, Request>();

export function signalOf(request: Request): AbortSignal {
	const { signal } = request;
	requests.set(signal, request);
	return signal;
}
