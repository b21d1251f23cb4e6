/**
 * EventBridge's target: an event, as its rule shaped it, is published. One that makes no notification is reported
 * and dropped, since no retry would mend it; a refused publish is thrown, so that EventBridge and Lambda try again.
 */
import { createCell, isFanoutError, readEvent } from "mcp-fanout/transports/aws/cell";
import { count, handle, report } from "./powertools.ts";

const cell = createCell();
const PUBLISH_TIMEOUT_MS = 10_000;

function read(event: unknown) {
	try {
		return readEvent(event, { namespace: cell.namespace, origin: "eventbridge", clock: cell.clock });
	} catch (error) {
		if (!isFanoutError(error)) throw error;
		report("event makes no notification", { code: error.code });
		count("EventsRefused", 1);
		return undefined;
	}
}

export const handler = handle(async (event: unknown): Promise<void> => {
	const envelope = read(event);
	if (envelope === undefined) return;
	const signal = AbortSignal.timeout(PUBLISH_TIMEOUT_MS);
	const [outcome] = await cell.transport.publish(envelope.channel, [envelope], { mayExist: true }, signal);
	if (outcome?.ok === false) throw outcome.error;
	count("EventsPublished", 1);
});
