/**
 * Whom a notification is for, in the words of MCP. `to(target).send(…)` takes any notification; `notify` spells the
 * four change notifications that both protocol eras know. Source: MCP specification 2025-11-25, server features.
 */
import { type Channel, createChannel, type Scope } from "../core/channel.ts";
import { FanoutError } from "../core/errors.ts";
import { CHANGE_METHODS, type NotificationInput } from "../core/message.ts";
import type { Receipt } from "./receipt.ts";

/** Exactly one of the first four; `tenant` alone is that tenant's `all`. */
export type Target = { readonly tenant?: string } & (
	| { readonly session: string }
	| { readonly principal: string }
	| { readonly topic: string }
	| { readonly all: true }
	| { readonly tenant: string }
);

export interface Notify {
	toolsChanged(): Promise<Receipt>;
	promptsChanged(): Promise<Receipt>;
	resourcesChanged(): Promise<Receipt>;
	resourceUpdated(uri: string): Promise<Receipt>;
}

export interface Address {
	send(notification: NotificationInput): Promise<Receipt>;
	readonly notify: Notify;
}

const KINDS = ["session", "principal", "topic", "all"] as const;

export function channelOf(target: Target, namespace: string): Channel {
	const given: Record<string, unknown> = { ...target };
	const { tenant } = given as Scope;
	const scope: Scope = { namespace, tenant };
	// A name that is there without a value is refused as such: it must not fall through to everyone.
	const named = KINDS.filter((kind) => Object.hasOwn(given, kind));
	const [kind] = named;
	if (named.length > 1 || (kind === undefined && tenant === undefined)) {
		throw new FanoutError("InvalidChannel", "a target names one of session, principal, topic, all or tenant");
	}
	if (kind === "all" && given.all !== true) throw new FanoutError("InvalidChannel", "all is true or not there");
	if (kind === undefined || kind === "all") return createChannel("all", "", scope);
	return createChannel(kind, given[kind] as string, scope);
}

export function createAddress(send: (notification: NotificationInput) => Promise<Receipt>): Address {
	return {
		send,
		notify: {
			toolsChanged: () => send({ method: CHANGE_METHODS.tools_list_changed }),
			promptsChanged: () => send({ method: CHANGE_METHODS.prompts_list_changed }),
			resourcesChanged: () => send({ method: CHANGE_METHODS.resources_list_changed }),
			resourceUpdated: async (uri) => {
				if (typeof uri !== "string" || uri === "")
					throw new FanoutError("InvalidMessage", "uri must be a non-empty string");
				return send({ method: CHANGE_METHODS.resource_updated, params: { uri } });
			},
		},
	};
}
