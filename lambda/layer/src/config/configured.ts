/**
 * Whether a file or variables configure this process: an option, FANOUT_CONFIG, ./fanout.toml, variables of keys. A
 * caller who names transports has configured it himself. What reads a configuration is loaded only when there is one.
 */
import { existsSync } from "node:fs";
import { FanoutError } from "../core/errors.ts";
import type { Configuration } from "./file/load.ts";
import { checkShape, type FanoutOptions } from "./options.ts";

export const CONFIG_VARIABLE = "FANOUT_CONFIG";
export const CONFIG_FILE = "fanout.toml";

/** Variables of keys; the cell's own (`env-names.ts`) begin otherwise. */
const OF_KEYS =
	/^FANOUT_(?:(?:LOCAL|NATS|REDIS|AWS|ROUTING|BREAKER|OUTBOX|REGISTRY|RELOAD)_|(?:STRATEGY|FALLBACK_STRATEGY|TIMEOUT_MS|CLUSTER_ID|STARTUP|START_TIMEOUT_MS|FOLLOW|MAX_STALL|HEARTBEAT)$)/;

export function configFile(environment: NodeJS.ProcessEnv): string | undefined {
	const named = environment[CONFIG_VARIABLE] ?? "";
	if (named !== "") return named;
	return existsSync(CONFIG_FILE) ? CONFIG_FILE : undefined;
}

function isNamed({ local, nats, redis, aws, transports }: FanoutOptions): boolean {
	return [local, nats, redis, aws].some((one) => one !== undefined) || (transports?.length ?? 0) > 0;
}

export interface Configured {
	readonly options: FanoutOptions;
	/** What configures the process, when a file or variables do. */
	readonly by?: Configuration;
}

export async function configured(
	options: FanoutOptions,
	environment: NodeJS.ProcessEnv = process.env,
): Promise<Configured> {
	// Before the rest: an older Node would fail by what it lacks, wherever that is met first.
	if (!("withResolvers" in Promise)) {
		throw new FanoutError("Unsupported", `mcp-fanout needs Node 22.13 or later, and this is ${process.version}`);
	}
	checkShape(options);
	// Who makes none of their own need not load how they are checked.
	if (options.transports !== undefined) (await import("./own-transports.ts")).checkTransports(options.transports);
	if (options.config === undefined && isNamed(options)) return { options };
	const file = options.config ?? configFile(environment);
	const hasVariables = Object.entries(environment).some(([name, value]) => value !== "" && OF_KEYS.test(name));
	if (file === undefined && !hasVariables) return { options };
	const { readConfig } = await reader();
	const by = await readConfig(file, environment);
	return { options: merged(by.options, options), by };
}

async function reader(): Promise<typeof import("./file/load.ts")> {
	try {
		return await import("./file/load.ts");
	} catch (cause) {
		if ((cause as NodeJS.ErrnoException).code !== "ERR_MODULE_NOT_FOUND") throw cause;
		const message = "reading a configuration needs smol-toml and zod: install them beside mcp-fanout";
		throw new FanoutError("DependencyMissing", message, { cause, data: { modules: ["smol-toml", "zod"] } });
	}
}

/** What the caller gives lies over the file, table by table: a ready client beside an address, say. */
function merged(file: FanoutOptions, options: FanoutOptions): FanoutOptions {
	const result: Record<string, unknown> = { ...file };
	for (const [key, value] of Object.entries(options)) {
		if (value === undefined) continue;
		const under = result[key];
		const isPart = typeof value === "object" && !Array.isArray(value) && typeof under === "object" && key !== "routing";
		result[key] = isPart ? { ...under, ...value } : value;
	}
	return result as FanoutOptions;
}
