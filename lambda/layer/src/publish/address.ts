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

export function channelOf(target: Target, namespace: string): Channel {
	const { session, principal, topic, all, tenant } = target as Record<string, string | undefined>;
	const named = Object.entries({ session, principal, topic }).filter(([, id]) => id !== undefined);
	if (named.length > 1 || (named.length === 1 && all !== undefined)) {
		throw new FanoutError("InvalidChannel", "a target names one of session, principal, topic or all");
	}
	const scope: Scope = { namespace, tenant };
	const [only] = named;
	if (only !== undefined) return createChannel(only[0] as "session" | "principal" | "topic", only[1] as string, scope);
	if (all === undefined && tenant === undefined) {
		throw new FanoutError("InvalidChannel", "a target names one of session, principal, topic, all or tenant");
	}
	return createChannel("all", "", scope);
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
