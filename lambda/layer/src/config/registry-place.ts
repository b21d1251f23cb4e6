/** Where the session registry's store is, as far as options and environment say. */
import { FanoutError } from "../core/errors.ts";
import type { SessionRegistryOptions } from "../sessions/options.ts";
import { ENV } from "./env-names.ts";

/** DynamoDB's, by the options or by a cell's environment. */
export function tableOf(
	{ table }: SessionRegistryOptions,
	environment: Readonly<Record<string, string | undefined>>,
): string | undefined {
	return table ?? (environment[ENV.ownersTable] || undefined);
}

/** A store that nothing says the place of. */
export function nowhere(store: "nats" | "redis" | "dynamodb"): FanoutError {
	const why =
		store === "dynamodb"
			? `neither registry.table nor ${ENV.ownersTable} is given`
			: `there is no ${store} transport to say where`;
	return new FanoutError("ConfigInvalid", `registry.store is "${store}", and ${why}`);
}
