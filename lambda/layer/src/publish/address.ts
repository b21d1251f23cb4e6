/**
 * Whom a notification is for, in the words of MCP. `to(target).send(…)` takes any notification; `notify` spells the
 * four change notifications that both protocol eras know. Source: MCP specification 2025-11-25, server features.
 */
import { type Channel, createChannel, everyTenantChannel, type Scope } from "../core/channel.ts";
import { FanoutError } from "../core/errors.ts";
import { CHANGE_METHODS, type NotificationInput } from "../core/message.ts";
import type { Receipt } from "./receipt.ts";

/** Exactly one of the first four; `tenant` alone is that tenant's `all`. Everyone of every tenant is said so only. */
export type Target =
	| ({ readonly tenant?: string | undefined } & (
			| { readonly session: string }
			| { readonly principal: string }
			| { readonly topic: string }
			| { readonly all: true }
			| { readonly tenant: string }
	  ))
	| { readonly everyTenant: true };

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

/** `own` is the scope that holds where the target names no tenant. */
export function channelOf(target: Target, own: Scope): Channel {
	if (typeof target !== "object" || target === null) throw unclear();
	const given = target as Readonly<Record<string, unknown>> & Scope;
	const { namespace, tenant } = own;
	const scope: Scope = { namespace, tenant: given.tenant === undefined ? tenant : given.tenant };
	const kind = kindOf(given);
	if ("everyTenant" in given) {
		if (given.everyTenant !== true || kind !== undefined || given.tenant !== undefined) throw unclear();
		return everyTenantChannel(namespace);
	}
	if (kind === undefined && given.tenant === undefined) throw unclear();
	if (kind === "all" && given.all !== true) throw new FanoutError("InvalidChannel", "all is true or not there");
	if (kind === undefined || kind === "all") return createChannel("all", "", scope);
	return createChannel(kind, given[kind] as string, scope);
}

/** A name that is there without a value, or by a getter of its class, must not fall through to everyone. */
function kindOf(given: object): "session" | "principal" | "topic" | "all" | undefined {
	const isSession = "session" in given;
	const isPrincipal = "principal" in given;
	const isTopic = "topic" in given;
	const isAll = "all" in given;
	if (Number(isSession) + Number(isPrincipal) + Number(isTopic) + Number(isAll) > 1) throw unclear();
	if (isSession) return "session";
	if (isPrincipal) return "principal";
	if (isTopic) return "topic";
	return isAll ? "all" : undefined;
}

function unclear(): FanoutError {
	return new FanoutError(
		"InvalidChannel",
		"a target names one of session, principal, topic, all, tenant or everyTenant",
	);
}

/** A class for its getter: an address is made with every `to()`, and few ask it for `notify`. */
class Sender implements Address {
	readonly send: Address["send"];

	constructor(send: Address["send"]) {
		this.send = send;
	}

	get notify(): Notify {
		return createNotify(this.send);
	}
}

export function createAddress(send: Address["send"]): Address {
	return new Sender(send);
}

function createNotify(send: Address["send"]): Notify {
	return {
		toolsChanged: () => send({ method: CHANGE_METHODS.tools_list_changed }),
		promptsChanged: () => send({ method: CHANGE_METHODS.prompts_list_changed }),
		resourcesChanged: () => send({ method: CHANGE_METHODS.resources_list_changed }),
		resourceUpdated: async (uri) => {
			if (typeof uri !== "string" || uri === "")
				throw new FanoutError("InvalidMessage", "uri must be a non-empty string");
			return send({ method: CHANGE_METHODS.resource_updated, params: { uri } });
		},
	};
}
