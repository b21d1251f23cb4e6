/** A registry over a real store, with a term of its own, and somebody who watches it. */
import { createChannel } from "../../lambda/layer/src/core/channel.ts";
import { systemClock } from "../../lambda/layer/src/core/clock.ts";
import { createIds } from "../../lambda/layer/src/core/ids.ts";
import type { Registry, SessionChange } from "../../lambda/layer/src/sessions/port.ts";
import { createRegistry } from "../../lambda/layer/src/sessions/registry.ts";
import type { Store } from "../../lambda/layer/src/sessions/store.ts";
import { waitFor } from "../support/proc.ts";

export const namespace = "faults";
export const tenant = "default";
export const session = (id: string) => createChannel("session", id, { namespace });
export const ids = createIds(systemClock);
export const until = (what: string, holds: () => boolean) => waitFor(what, async () => holds(), { deadlineMs: 15_000 });

export async function open(store: Store) {
	const registry = createRegistry({ store, namespace, clock: systemClock, ids });
	await registry.start();
	const { term } = await registry.enlist("a", 10_000);
	return { registry, term, [Symbol.asyncDispose]: () => registry.close() };
}

export async function watching(registry: Registry) {
	const heard = { told: [] as SessionChange[], suspected: 0 };
	const suspect = () => {
		heard.suspected += 1;
	};
	await registry.watch(tenant, { change: (change) => void heard.told.push(change), suspect });
	return heard;
}
