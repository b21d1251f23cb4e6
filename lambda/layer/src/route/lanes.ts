/**
 * Which lanes an envelope enters, fixed before the first publish. Without rules: every enabled transport in order of
 * priority, but a transport that reaches this process only is the backup of the others, and a lane only when alone.
 */
import type { Transport } from "../core/transport.ts";

export function routedLanes(transports: readonly Transport[]): readonly Transport[] {
	const wider = transports.filter(({ capabilities }) => capabilities.reach !== "process");
	return wider.length > 0 ? wider : transports;
}
