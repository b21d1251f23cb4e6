/**
 * Channels: named ordered logs, under a namespace (`cluster_id`) and a tenant. The key is the channel's one
 * spelling everywhere (queues, tables, wires): `namespace/tenant/kind:id`, each part percent-encoded, so that no
 * id can reach outside its own part. `instance:<id>` is a control address: what processes tell each other, never routed.
 */
import { FanoutError } from "./errors.ts";

export const CHANNEL_KINDS = ["session", "principal", "topic", "all", "post", "instance"] as const;
export type ChannelKind = (typeof CHANNEL_KINDS)[number];

export interface Channel {
	readonly namespace: string;
	readonly tenant: string;
	readonly kind: ChannelKind;
	/** Empty for `all`; `<session>/<n>` for `post`. */
	readonly id: string;
	readonly key: string;
}

export const DEFAULT_NAMESPACE = "default";
export const DEFAULT_TENANT = "default";
/** In the place of a tenant in the one channel that every tenant hears; no tenant is called so. */
const EVERY_TENANT = "*";
/** Longest namespace, tenant or id, in UTF-8 bytes after percent-encoding. */
export const MAX_CHANNEL_PART_BYTES = 512;
/** Longest key, in bytes: it is part of a sort key, and DynamoDB takes 1,024. */
export const MAX_CHANNEL_KEY_BYTES = 1_000;

export interface Scope {
	readonly namespace?: string | undefined;
	readonly tenant?: string | undefined;
}

/** What percent-encoding leaves as it is (RFC 3986, section 2.3, and what encodeURIComponent adds). */
const UNRESERVED = /^[\w.~!*'()-]*$/;

function escapePart(name: string, value: unknown, mayBeEmpty = false): string {
	if (typeof value !== "string") throw new FanoutError("InvalidChannel", `${name} must be a string`);
	if (value === "" && !mayBeEmpty) throw new FanoutError("InvalidChannel", `${name} must not be empty`);
	let escaped = value;
	try {
		if (!UNRESERVED.test(value)) escaped = encodeURIComponent(value);
	} catch (cause) {
		throw new FanoutError("InvalidChannel", `${name} is not well-formed Unicode`, { cause });
	}
	if (escaped.length > MAX_CHANNEL_PART_BYTES) {
		throw new FanoutError(
			"InvalidChannel",
			`${name} takes ${escaped.length} bytes encoded, at most ${MAX_CHANNEL_PART_BYTES} are accepted`,
			{ data: { bytes: escaped.length, maxBytes: MAX_CHANNEL_PART_BYTES } },
		);
	}
	return escaped;
}

// Most of what one process does is in one scope, and every client stream hears its `all`.
let last:
	| { readonly namespace: string; readonly tenant: string; readonly prefix: string; all: Channel | undefined }
	| undefined;

export function createChannel(kind: ChannelKind, id: string, scope: Scope = {}): Channel {
	if (!CHANNEL_KINDS.includes(kind)) {
		throw new FanoutError("InvalidChannel", `unknown channel kind; the kinds are ${CHANNEL_KINDS.join(", ")}`);
	}
	if (kind === "all" && id !== "") throw new FanoutError("InvalidChannel", "the channel all has no id");
	// Only what is left out is the default: null is a tenant that somebody failed to look up.
	const { namespace = DEFAULT_NAMESPACE, tenant = DEFAULT_TENANT } = scope;
	if (tenant === EVERY_TENANT) throw new FanoutError("InvalidChannel", `no tenant may be called ${EVERY_TENANT}`);
	if (last === undefined || namespace !== last.namespace || tenant !== last.tenant) {
		const prefix = `${escapePart("namespace", namespace)}/${escapePart("tenant", tenant)}/`;
		last = { namespace, tenant, prefix, all: undefined };
	}
	if (kind === "all" && last.all !== undefined) return last.all;
	const key = `${last.prefix}${kind}:${escapePart("id", id, kind === "all")}`;
	if (key.length > MAX_CHANNEL_KEY_BYTES) {
		throw new FanoutError(
			"InvalidChannel",
			`the key takes ${key.length} bytes, at most ${MAX_CHANNEL_KEY_BYTES} are accepted`,
			{
				data: { bytes: key.length, maxBytes: MAX_CHANNEL_KEY_BYTES },
			},
		);
	}
	const channel = { namespace, tenant, kind, id, key };
	// Shared by all who ask for it: nobody may change it under the others.
	if (kind === "all") last.all = Object.freeze(channel);
	return channel;
}

/** What is for everyone, whatever their tenant. */
export function everyTenantChannel(namespace: string = DEFAULT_NAMESPACE): Channel {
	const key = `${escapePart("namespace", namespace)}/${EVERY_TENANT}/all:`;
	return { namespace, tenant: EVERY_TENANT, kind: "all", id: "", key };
}

export function isEveryTenant({ kind, tenant }: Channel): boolean {
	return kind === "all" && tenant === EVERY_TENANT;
}

const KEY = /^([^/:]+)\/([^/:]+)\/([a-z]+):([^/:]*)$/;

/** The channel that a key spells; refuses every other spelling of the same channel. */
export function parseChannel(key: unknown): Channel {
	const match = typeof key === "string" && key.length <= MAX_CHANNEL_KEY_BYTES ? KEY.exec(key) : null;
	if (match === null) throw new FanoutError("InvalidChannel", "a channel key is namespace/tenant/kind:id");
	const [, namespace = "", tenant = "", kind, id = ""] = match;
	let channel: Channel;
	try {
		const scope = { namespace: decodeURIComponent(namespace), tenant: decodeURIComponent(tenant) };
		const isEvery = tenant === EVERY_TENANT && kind === "all" && id === "";
		if (isEvery) channel = everyTenantChannel(scope.namespace);
		else channel = createChannel(kind as ChannelKind, decodeURIComponent(id), scope);
	} catch (cause) {
		throw new FanoutError("InvalidChannel", "a channel key is namespace/tenant/kind:id, percent-encoded", { cause });
	}
	if (channel.key !== key) throw new FanoutError("InvalidChannel", "a channel key must be spelled canonically");
	return channel;
}
