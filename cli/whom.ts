/** Whom a command is about, by its flags; and a fanout of the command's own beside the processes that run. */
import {
	createFanout,
	type Fanout,
	FanoutError,
	type FanoutOptions,
	type StreamRequest,
	type Target,
} from "mcp-fanout";
import { configFile, loadConfig } from "mcp-fanout/config";

export const WHOM_USAGE = `--session <id> | --principal <id> | --topic <name> | --all | --every-tenant, [--tenant <id>]`;

/** Of a configuration without a broker. */
export const ALONE = "no transport of it reaches another process: nobody else is heard, or hears";

export const WHOM_FLAGS = {
	session: { type: "string" },
	principal: { type: "string" },
	topic: { type: "string" },
	all: { type: "boolean" },
	"every-tenant": { type: "boolean" },
	tenant: { type: "string" },
} as const;

export interface WhomFlags {
	readonly session?: string | undefined;
	readonly principal?: string | undefined;
	readonly topic?: string | undefined;
	readonly all?: boolean | undefined;
	readonly "every-tenant"?: boolean | undefined;
	readonly tenant?: string | undefined;
}

/** Throws what is wrong with it. */
export function targetOf({ session, principal, topic, all, "every-tenant": everyTenant, tenant }: WhomFlags): Target {
	const named = [session, principal, topic, all, everyTenant].filter((flag) => flag !== undefined);
	if (named.length !== 1) throw new Error(`exactly one of ${WHOM_USAGE}`);
	if (everyTenant) return { everyTenant: true };
	const scope = tenant === undefined ? {} : { tenant };
	if (session !== undefined) return { session, ...scope };
	if (principal !== undefined) return { principal, ...scope };
	return topic === undefined ? { all: true, ...scope } : { topic, ...scope };
}

/** The same as a stream that hears nothing else. */
export function streamOf(flags: WhomFlags): StreamRequest {
	targetOf(flags);
	const { session, principal, topic, all = false, "every-tenant": everyTenant = false, tenant } = flags;
	return { session, principal, ...(topic !== undefined && { topics: [topic] }), all, everyTenant, tenant };
}

export const FILE_FLAG = { config: { type: "string" } } as const;

/** Throws for two. Undefined where there is none, as for a fanout: then the environment says all. */
export function fileOf(
	positionals: readonly string[],
	environment: NodeJS.ProcessEnv,
	config?: string,
): string | undefined {
	const named = config === undefined ? positionals : [config, ...positionals];
	if (named.length > 1) throw new Error(`one file at a time, not ${named.join(" ")}`);
	return named[0] ?? configFile(environment);
}

/** Files are the running process's: a command neither waits for their locks nor sends what is queued in them. */
export function withoutFiles({ local, outbox, ...rest }: FanoutOptions): FanoutOptions {
	return {
		...rest,
		...(local && { local: { ...local, file: undefined } }),
		...(outbox && { outbox: { ...outbox, file: undefined } }),
	};
}

export const NAMES = ["local", "nats", "redis", "aws"] as const;
export type Name = (typeof NAMES)[number];

/** The same with one of its transports, and no rules nor place of sessions: they may name others. */
export function alone(options: FanoutOptions, name: Name): FanoutOptions {
	const { routing: _routing, registry: _registry, local: _l, nats: _n, redis: _r, aws: _a, ...rest } = options;
	return withoutFiles({ ...rest, [name]: options[name] ?? {} });
}

/** A fanout, unless the user interrupts it first: what it dials is then left to the end of the process. */
export async function dial(options: FanoutOptions, signal: AbortSignal): Promise<Fanout> {
	const interrupted = Promise.withResolvers<never>();
	const interrupt = () => interrupted.reject(new FanoutError("Aborted", "interrupted while it dialled"));
	signal.addEventListener("abort", interrupt, { once: true });
	try {
		return await Promise.race([interrupted.promise, createFanout(options)]);
	} finally {
		signal.removeEventListener("abort", interrupt);
	}
}

/** A fanout by the file, or by the environment alone; nothing of it outlives the command. */
export async function openBeside(
	file: string | undefined,
	environment: NodeJS.ProcessEnv,
	more: FanoutOptions,
	signal: AbortSignal,
): Promise<Fanout> {
	const options = withoutFiles(await loadConfig(file, environment));
	return dial({ ...options, reload: { watch: false }, startup: "fail", ...more }, signal);
}
