/**
 * The one file that loads the NATS client library: lazily and by `require`, so that importing the package loads none
 * of it. A ready connection may be passed to the transport instead; then only its small helpers are loaded.
 */
import { createRequire } from "node:module";
import type * as Client from "@nats-io/transport-node";
import { FanoutError } from "../../core/errors.ts";

export type NatsClient = typeof Client;
export type NatsConnection = Client.NatsConnection;
export type ConnectionOptions = Client.ConnectionOptions;
export type Msg = Client.Msg;
export type MsgHdrs = Client.MsgHdrs;
export type Subscription = Client.Subscription;
export type TlsOptions = Client.TlsOptions;

const MODULE = "@nats-io/transport-node";
// A bundle in CommonJS form has no import.meta.url; the working directory then serves as the place to look from.
const requireFrom = createRequire(import.meta.url || `file://${process.cwd()}/`);

export function loadNatsClient(): NatsClient {
	try {
		return requireFrom(MODULE) as NatsClient;
	} catch (cause) {
		throw new FanoutError(
			"DependencyMissing",
			`the nats transport needs ${MODULE}, which could not be loaded: install it beside mcp-fanout`,
			{ cause, data: { module: MODULE } },
		);
	}
}
