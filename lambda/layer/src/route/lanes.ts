/**
 * Which lanes an envelope enters, fixed before the first publish. Without rules: every enabled transport in order of
 * priority, but a transport that reaches this process only is the backup of the others, and a lane only when alone.
 * A lane is known by its transport's name, in envelopes and receipts: no two may share one.
 */
import { MAX_ENVELOPE_LANES } from "../core/envelope.ts";
import { FanoutError } from "../core/errors.ts";
import type { Transport } from "../core/transport.ts";

export function routedLanes(transports: readonly Transport[]): readonly Transport[] {
	if (new Set(transports.map(({ name }) => name)).size < transports.length || transports.length > MAX_ENVELOPE_LANES) {
		const names = transports.map(({ name }) => name).join(", ");
		const message = `at most ${MAX_ENVELOPE_LANES} transports, each with a name of its own, not ${names}`;
		throw new FanoutError("ConfigInvalid", message);
	}
	const wider = transports.filter(({ capabilities }) => capabilities.reach !== "process");
	return wider.length > 0 ? wider : transports;
}
