/** The whole configuration: its tables with their keys, the names of their variables, and its JSON Schema. */
import { z } from "zod";
import { infoOf } from "./field.ts";
import type { Shape } from "./section.ts";
import { awsShape } from "./sections/aws.ts";
import { generalShape, reloadShape } from "./sections/general.ts";
import { localShape } from "./sections/local.ts";
import { natsShape } from "./sections/nats.ts";
import { redisShape } from "./sections/redis.ts";
import { registryShape } from "./sections/registry.ts";
import { breakerShape, outboxShape, routingShape } from "./sections/routing.ts";

/** Tables under `[notification]`. */
export const TABLES = {
	local: localShape,
	nats: natsShape,
	redis: redisShape,
	aws: awsShape,
	routing: routingShape,
	breaker: breakerShape,
	outbox: outboxShape,
	reload: reloadShape,
	registry: registryShape,
} as const;

export type TableName = keyof typeof TABLES;
export const GENERAL = generalShape;

export const TABLE_NAMES = Object.keys(TABLES) as TableName[];

const about: Readonly<Record<TableName, string>> = {
	local: "Client streams of this process, and the events that they resume from.",
	nats: "Tier 2: NATS, with JetStream's log or without one.",
	redis: "Tier 2: Redis or Valkey, one server, a Sentinel group or a cluster.",
	aws: "Tier 3: the cell of a region.",
	routing: "Which transports a notification goes to.",
	breaker: "When a target that fails is left alone, and when it is tried again.",
	outbox: "What is kept for a target that refuses.",
	reload: "When the file is read again while the process runs.",
	registry: "Where `fanout.sessions` keeps which instance owns which session.",
};

const table = (name: TableName) => z.strictObject(TABLES[name]).optional().meta({ description: about[name] });

export const configuration = z
	.strictObject({
		notification: z.strictObject({
			...GENERAL,
			local: table("local"),
			nats: table("nats"),
			redis: table("redis"),
			aws: table("aws"),
			routing: table("routing"),
			breaker: table("breaker"),
			outbox: table("outbox"),
			reload: table("reload"),
			registry: table("registry"),
		}),
	})
	.meta({ title: "fanout.toml", description: "Configuration of mcp-fanout." });

export function jsonSchema(): object {
	return z.toJSONSchema(configuration, { io: "input" });
}

export interface Variable {
	readonly name: string;
	/** Undefined: a key of `[notification]` itself. */
	readonly table: TableName | undefined;
	readonly key: string;
	readonly type: z.ZodType;
}

/** `FANOUT_TIMEOUT_MS`, `FANOUT_NATS_SERVERS`, …: one variable for each key. */
export function variables(): Variable[] {
	const of = (shape: Shape, name: TableName | undefined): Variable[] =>
		Object.entries(shape).map(([key, type]) => ({
			name: ["FANOUT", ...(name === undefined ? [] : [name]), key].join("_").toUpperCase(),
			table: name,
			key,
			type,
		}));
	return [...of(GENERAL, undefined), ...TABLE_NAMES.flatMap((name) => of(TABLES[name], name))].filter(
		({ type }) => infoOf(type) !== undefined,
	);
}
