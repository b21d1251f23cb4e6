/**
 * Home regions of sessions. The global `sessions` table holds one item per (session, region), written only by that
 * region; home is the unexpired item with the greatest (counter, region), so every region agrees once replication
 * caught up. Answers are cached for a short time and bounded in number.
 */
import type { Clock } from "../../core/clock.ts";
import { FanoutError } from "../../core/errors.ts";
import { aws, type DynamoClient, isAwsError } from "./sdk.ts";

export const DEFAULT_HOME_SECONDS = 24 * 60 * 60;
export const DEFAULT_HOME_CACHE_MS = 5_000;
export const DEFAULT_HOME_CACHE_ENTRIES = 10_000;
const MAX_CLAIM_RACES = 5;

export interface HomeOptions {
	readonly table: string;
	readonly dynamo: DynamoClient;
	/** The own region: the only one that this process writes items for. */
	readonly region: string;
	readonly clock: Clock;
	readonly homeSeconds?: number;
	readonly cacheMs?: number;
	readonly cacheEntries?: number;
}

export interface HomeItem {
	readonly region: string;
	readonly counter: number;
	readonly expiresAt: number;
}

/** What the table says now. */
export interface LookedUp extends HomeItem {
	/** Of the own region's last claim; 0 where it has none. */
	readonly ownCounter: number;
}

export interface Home {
	/** The session's home region, undefined when it has none. */
	resolve(sessionKey: string, signal?: AbortSignal): Promise<string | undefined>;
	/** Makes the own region the home; no write when it is already. */
	claim(sessionKey: string, signal?: AbortSignal): Promise<HomeItem>;
	/** As `claim`, but a session whose home is another region stays there: false then. */
	keep(sessionKey: string, signal?: AbortSignal): Promise<boolean>;
	/** The home; when there is none, the own region claims it. */
	resolveOrClaim(sessionKey: string, signal?: AbortSignal): Promise<string>;
	/** The home as the table says now, past the cache. */
	look(sessionKey: string, signal?: AbortSignal): Promise<LookedUp | undefined>;
	forget(sessionKey: string): void;
}

/** The item that wins: greatest counter, then greatest region. */
export function homeOf(items: readonly HomeItem[], nowMs: number): HomeItem | undefined {
	let best: HomeItem | undefined;
	for (const item of items) {
		if (item.expiresAt * 1000 <= nowMs) continue;
		const wins = best === undefined || item.counter > best.counter;
		if (wins || (item.counter === best?.counter && item.region > best.region)) best = item;
	}
	return best;
}

export function createHome(options: HomeOptions): Home {
	const { table, dynamo, region, clock } = options;
	const homeSeconds = options.homeSeconds ?? DEFAULT_HOME_SECONDS;
	const cacheMs = options.cacheMs ?? DEFAULT_HOME_CACHE_MS;
	const cacheEntries = options.cacheEntries ?? DEFAULT_HOME_CACHE_ENTRIES;
	const cache = new Map<string, { readonly region: string; readonly until: number }>();

	async function items(sessionKey: string, signal?: AbortSignal): Promise<HomeItem[]> {
		const command = new aws.document.QueryCommand({
			TableName: table,
			ConsistentRead: true,
			KeyConditionExpression: "#session = :key",
			ExpressionAttributeNames: { "#session": "session" },
			ExpressionAttributeValues: { ":key": sessionKey },
		});
		const answer = await dynamo.send(command, signal === undefined ? {} : { abortSignal: signal });
		return (answer.Items ?? []) as unknown as HomeItem[];
	}

	function remember(sessionKey: string, home: string): void {
		cache.delete(sessionKey);
		cache.set(sessionKey, { region: home, until: clock.monotonic() + cacheMs });
		for (const oldest of cache.keys()) {
			if (cache.size <= cacheEntries) break;
			cache.delete(oldest);
		}
	}

	async function claimFrom(sessionKey: string, mayMove: boolean, signal?: AbortSignal): Promise<HomeItem> {
		for (let race = 0; race < MAX_CLAIM_RACES; race += 1) {
			const all = await items(sessionKey, signal);
			const nowSeconds = Math.floor(clock.now() / 1000);
			const home = homeOf(all, clock.now());
			// Renewed at half its life and not at each subscribe: every write here goes to every region.
			if (home?.region === region && home.expiresAt - nowSeconds > homeSeconds / 2) {
				remember(sessionKey, region);
				return home;
			}
			if (home !== undefined && home.region !== region && !mayMove) {
				remember(sessionKey, home.region);
				return home;
			}
			const highest = all.reduce((most, item) => Math.max(most, item.counter), 0);
			const counter = home?.region === region ? home.counter : highest + 1;
			const item = { region, counter, expiresAt: nowSeconds + homeSeconds };
			try {
				const command = new aws.document.PutCommand({
					TableName: table,
					Item: { session: sessionKey, ...item, at: clock.now() },
					ConditionExpression: "attribute_not_exists(#counter) OR #counter <= :counter",
					ExpressionAttributeNames: { "#counter": "counter" },
					ExpressionAttributeValues: { ":counter": counter },
				});
				await dynamo.send(command, signal === undefined ? {} : { abortSignal: signal });
			} catch (error) {
				if (isAwsError(error, "ConditionalCheckFailedException")) continue;
				throw error;
			}
			remember(sessionKey, region);
			return item;
		}
		throw new FanoutError("TransportUnavailable", `lost ${MAX_CLAIM_RACES} races for a session's home`, {
			retryable: true,
		});
	}

	const claim: Home["claim"] = (sessionKey, signal) => claimFrom(sessionKey, true, signal);

	async function look(sessionKey: string, signal?: AbortSignal): Promise<LookedUp | undefined> {
		const all = await items(sessionKey, signal);
		const home = homeOf(all, clock.now());
		if (home === undefined) cache.delete(sessionKey);
		else remember(sessionKey, home.region);
		return home && { ...home, ownCounter: all.find((item) => item.region === region)?.counter ?? 0 };
	}

	async function resolve(sessionKey: string, signal?: AbortSignal): Promise<string | undefined> {
		const cached = cache.get(sessionKey);
		if (cached !== undefined && cached.until > clock.monotonic()) return cached.region;
		return (await look(sessionKey, signal))?.region;
	}

	return {
		claim,
		keep: async (sessionKey, signal) => (await claimFrom(sessionKey, false, signal)).region === region,
		look,
		resolve,
		resolveOrClaim: async (sessionKey, signal) =>
			(await resolve(sessionKey, signal)) ?? (await claim(sessionKey, signal)).region,
		forget: (sessionKey) => void cache.delete(sessionKey),
	};
}
