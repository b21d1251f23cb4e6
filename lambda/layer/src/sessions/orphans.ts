/**
 * Sessions that this instance may own without knowing it: a claim, or a release, whose outcome was not heard of. Nobody else
 * could take them for as long as it lives. So each is claimed once more, which settles what is on its way, and given back.
 */
import type { Channel } from "../core/channel.ts";
import { isFanoutError } from "../core/errors.ts";
import type { Claimed } from "./owner.ts";
import type { Opening, Registry } from "./port.ts";

export interface Orphans {
	readonly size: number;
	has(session: Channel): boolean;
	add(session: Channel, principal?: string | undefined): void;
	delete(session: Channel): void;
	/** One after another, until the store does not answer; throws the first failure. */
	giveBack(): Promise<void>;
	clear(): void;
}

export interface OrphansDeps {
	readonly registry: Registry;
	claim(session: Channel, opening: Opening): Promise<Claimed>;
	/** Held or being claimed here. */
	isWanted(session: Channel): boolean;
}

export function createOrphans({ registry, claim, isWanted }: OrphansDeps): Orphans {
	const orphans = new Map<string, { readonly session: Channel; readonly principal: string | undefined }>();
	return {
		get size() {
			return orphans.size;
		},
		has: ({ key }) => orphans.has(key),
		add(session, principal) {
			orphans.set(session.key, { session, principal });
		},
		delete: ({ key }) => void orphans.delete(key),
		async giveBack() {
			const failures: unknown[] = [];
			for (const [key, { session, principal }] of orphans) {
				try {
					const record = await registry.get(session);
					if (isWanted(session)) continue;
					const opening = { principal: record === undefined ? principal : record.principal };
					const { hold, created } = await claim(session, opening);
					await (created ? hold.remove() : hold.release());
				} catch (error) {
					const isAnothers = isFanoutError(error, "Conflict") && error.data.owner !== undefined;
					if (!isAnothers) {
						failures.push(error);
						// A store that is away is for all of them, a record that cannot be read is for one.
						if (!isFanoutError(error) || error.retryable) break;
						continue;
					}
				}
				orphans.delete(key);
			}
			if (failures.length > 0) throw failures[0];
		},
		clear: () => orphans.clear(),
	};
}
