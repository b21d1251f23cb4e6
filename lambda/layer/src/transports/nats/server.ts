/** What the server says of itself when it is dialled: whether it is one that this transport can use. */
import { FanoutError } from "../../core/errors.ts";
import type { NatsConnection } from "./client.ts";
import { disconnected } from "./failure.ts";
import type { NatsSettings } from "./options.ts";

/** Atomic batches came with 2.12. */
const MIN_SERVER = [2, 12] as const;
/** What headers and subject may add to an envelope. */
export const OVERHEAD_BYTES = 4_096;

export function checkServer({ info }: NatsConnection, { maxPayloadBytes, jetstream }: NatsSettings): void {
	if (info === undefined) throw disconnected();
	const [major = 0, minor = 0] = info.version.split(".").map(Number);
	if (jetstream && (major < MIN_SERVER[0] || (major === MIN_SERVER[0] && minor < MIN_SERVER[1]))) {
		throw new FanoutError(
			"Unsupported",
			`nats-server is ${info.version}; the log needs ${MIN_SERVER.join(".")} or later`,
		);
	}
	if (maxPayloadBytes + OVERHEAD_BYTES > info.max_payload) {
		throw new FanoutError(
			"ConfigInvalid",
			`nats.maxPayloadBytes is ${maxPayloadBytes}, but the server takes ${info.max_payload} with headers (max_payload)`,
			{ data: { maxPayloadBytes, serverMaxPayload: info.max_payload } },
		);
	}
}
