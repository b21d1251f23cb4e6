/**
 * What an operator's check of Redis looks at: the login, and what each primary says of itself. It reads (INFO, and one
 * field of the first partition) and writes nothing.
 */
import type { Clock } from "../../core/clock.ts";
import { messageOf, some, type Tell } from "../../core/finding.ts";
import type { Ids } from "../../core/ids.ts";
import { onAbort } from "../../core/on-abort.ts";
import type { Client, Redis } from "./client.ts";
import { primaries } from "./cluster.ts";
import { dialRedis } from "./dial.ts";
import { createKeys } from "./keys.ts";
import { endpointOf, type RedisOptions, type RedisSettings, resolveSettings } from "./options.ts";
import { checkVersion, durabilityOf } from "./server.ts";

/** This part of maxmemory is nearly all. */
const NEARLY = 0.9;
const SLOTS = "16384";

interface Primary {
	readonly name: string;
	/** A field of INFO; empty where this server has none. */
	said(field: string): string;
}

async function ask(node: Redis): Promise<Primary> {
	const text = await node.info();
	const fields = new Map(text.split(/\r?\n/).map((line) => line.split(/:(.*)/s, 2) as [string, string]));
	const { host, port } = node.options;
	return { name: `${host}:${port}`, said: (field) => fields.get(field) ?? "" };
}

function tellMemory({ name, said }: Primary, tell: Tell): void {
	const [most, used, policy] = [Number(said("maxmemory")), Number(said("used_memory")), said("maxmemory_policy")];
	const todo = "set maxmemory-policy noeviction, and maxmemory over what the logs take";
	if (policy !== "noeviction" && policy !== "") {
		// Logs have a time to live: `volatile-*` takes them as `allkeys-*` does.
		const found = `${name} has maxmemory-policy ${policy}`;
		if (most > 0) tell("fail", `${found}: it evicts logs when its memory is full`, todo);
		else tell("warn", `${found} and no maxmemory: a limit would let it evict logs`, todo);
	} else if (most > 0 && used > most * NEARLY) {
		tell(
			"warn",
			`${name} uses ${Math.round((100 * used) / most)} % of maxmemory: over it, publishes are refused`,
			todo,
		);
	} else tell("ok", `${name} evicts nothing`);
}

function tellFiles({ name, said }: Primary, tell: Tell): void {
	const failing = ["rdb_last_bgsave_status", "aof_last_bgrewrite_status", "aof_last_write_status"].filter(
		(field) => said(field) === "err",
	);
	if (failing.length > 0) {
		const todo = "look at its disk and its log; it may refuse writes (MISCONF)";
		tell("fail", `${name} cannot write its files (${failing.join(", ")})`, todo);
	}
	if (said("loading") === "1") tell("fail", `${name} is loading its files and answers nothing`, "wait until it has");
}

function tellRole({ name, said }: Primary, { cluster }: RedisOptions, { wait }: RedisSettings, tell: Tell): void {
	if (said("role") === "slave") {
		tell("fail", `${name} is a replica: it takes no writes`, "name its primary, or the Sentinels of its group");
	}
	if (cluster === undefined && said("cluster_enabled") === "1") {
		tell("fail", `${name} is a node of a cluster`, "name cluster_nodes in place of url or sentinels");
	}
	const replicas = Number(said("connected_slaves"));
	if (wait !== undefined && replicas < wait.replicas) {
		const found = `${name} has ${replicas} replicas and wait_replicas is ${wait.replicas}`;
		const todo = "start them, or lower wait_replicas";
		tell("warn", `${found}: each write waits ${wait.timeoutMs} ms, and is not said to be replicated`, todo);
	} else tell("ok", `${name}: replicas connected: ${replicas}`);
}

async function tellDurability(client: Client, nodes: readonly Primary[], { wait }: RedisSettings, tell: Tell) {
	const durability = await durabilityOf(client);
	const said = wait === undefined ? durability : `replicated, or ${durability} where replicas are late`;
	const without = nodes.filter((node) => node.said("aof_enabled") !== "1");
	if (without.length === 0) tell("ok", `append-only file on: "accepted" says ${said}`);
	else {
		const found = `${some(without.map(({ name }) => name))} without an append-only file: "accepted" says ${said}`;
		const todo = "set appendonly yes, and appendfsync always for acceptances on disk";
		tell("warn", `${found}; a restart may lose logs, which streams are told`, todo);
	}
}

async function tellPartitions(client: Client, { prefix, partitions }: RedisSettings, tell: Tell): Promise<void> {
	const have = await client.hget(createKeys(prefix, partitions).meta(0), "partitions");
	if (have === null) {
		tell(
			"warn",
			`no log under the prefix ${prefix}`,
			"no server of this fleet has started here; the first one makes it",
		);
	} else if (have !== String(partitions)) {
		const todo = "the number is fixed for the life of the data: set partitions, or name another prefix";
		tell("fail", `the log under ${prefix} has ${have} partitions, not ${partitions}`, todo);
	} else tell("ok", `the log under ${prefix} has ${partitions} partitions`);
}

async function tellCluster(client: Client, tell: Tell): Promise<void> {
	const text = String(await client.cluster("INFO"));
	const said = (field: string) => new RegExp(`${field}:(\\S+)`).exec(text)?.[1] ?? "unknown";
	const [state, slots] = [said("cluster_state"), said("cluster_slots_ok")];
	const found = `the cluster is ${state}, ${slots} of ${SLOTS} slots served by ${said("cluster_size")} primaries`;
	if (state === "ok" && slots === SLOTS) tell("ok", found);
	else tell("fail", found, "look for the primaries that are away");
}

async function look(client: Client, options: RedisOptions, settings: RedisSettings, tell: Tell): Promise<void> {
	const endpoint = endpointOf(options);
	try {
		await checkVersion(client, endpoint);
	} catch (error) {
		tell("fail", messageOf(error), "upgrade it");
	}
	const nodes = await Promise.all(primaries(client).map(ask));
	for (const node of nodes) {
		tellRole(node, options, settings, tell);
		tellMemory(node, tell);
		tellFiles(node, tell);
	}
	await tellDurability(client, nodes, settings, tell);
	if (options.cluster !== undefined) await tellCluster(client, tell);
	await tellPartitions(client, settings, tell);
}

export async function examineRedis(
	options: RedisOptions,
	{ clock, ids }: { readonly clock: Clock; readonly ids: Ids },
	tell: Tell,
	signal: AbortSignal,
): Promise<void> {
	const settings = resolveSettings(options);
	const random = () => ids.random32() / 2 ** 32;
	let client: Client;
	try {
		client = await dialRedis(options, { clock, random }, () => {}, signal);
	} catch (error) {
		const isLogin = /refused the login/.test(messageOf(error));
		const todo = isLogin
			? "check username and password, and what this user may do"
			: "is it running, and does this machine reach that address? Is it what the file names: one server, Sentinels, a cluster?";
		return tell("fail", messageOf(error), todo);
	}
	// A server that hangs holds up what waits for it: no socket is to outlive this.
	const forget = onAbort(signal, () => client.disconnect());
	try {
		if (signal.aborted) return;
		const [first] = primaries(client);
		const from = clock.monotonic();
		await first?.ping();
		const ms = (clock.monotonic() - from).toFixed(1);
		const info = (await first?.info("server")) ?? "";
		const version = /valkey_version:(\S+)/.exec(info)?.[1] ?? /redis_version:(\S+)/.exec(info)?.[1];
		const kind = info.includes("valkey_version:") ? "Valkey" : "Redis";
		tell(
			"ok",
			`${endpointOf(options)}: logged in, answers after ${ms} ms; ${kind} ${version ?? "of an unknown version"}`,
		);
		await look(client, options, settings, tell);
	} catch (error) {
		tell("fail", messageOf(error), "allow this user what it is refused (docs/redis.md has the list)");
	} finally {
		forget();
		client.disconnect();
	}
}
