/** Loads the client libraries of the broker backends, lazily and by `require`: who passes a client in needs none. */
import { createRequire } from "node:module";
import type * as JetStream from "@nats-io/jetstream";
import type * as Kv from "@nats-io/kv";
import type * as Nats from "@nats-io/transport-node";
import type * as Redis from "ioredis";
import { FanoutError } from "../core/errors.ts";

interface Modules {
	"@nats-io/jetstream": typeof JetStream;
	"@nats-io/kv": typeof Kv;
	"@nats-io/transport-node": typeof Nats;
	ioredis: typeof Redis;
}

// A bundle in CommonJS form has no import.meta.url; the working directory then serves as the place to look from.
const requireFrom = createRequire(import.meta.url || `file://${process.cwd()}/`);

export function loadClient<Name extends keyof Modules>(name: Name): Modules[Name] {
	try {
		return requireFrom(name) as Modules[Name];
	} catch (cause) {
		throw new FanoutError(
			"DependencyMissing",
			`the session registry needs ${name}, which could not be loaded: install it beside mcp-fanout`,
			{ cause, data: { module: name } },
		);
	}
}
