/**
 * A registry's store whose place may be exchanged while it is used: a reload that names other servers takes the registry
 * there as well. What is asked from then on is asked of the new place; what is under way ends at the old one, which is
 * closed after it. Watches are opened anew there and told to list again, for changes in between were told to nobody.
 */
import { type Clock, pause } from "../core/clock.ts";
import { asFanoutError, type FanoutError } from "../core/errors.ts";
import type { Scope, Store, StoreWatcher, Watch } from "./store.ts";

export interface ExchangedStore extends Store {
	/** `next` has started, and is closed with this one. */
	exchange(next: Store): void;
}

export interface ExchangedStoreDeps {
	readonly clock: Clock;
	readonly timeoutMs: number;
	report(error: FanoutError): void;
}

interface Watching {
	readonly scope: Scope;
	readonly watcher: StoreWatcher;
	watch: Watch;
}

const AGAIN_MS = 1_000;

export function createExchangedStore(first: Store, { clock, timeoutMs, report }: ExchangedStoreDeps): ExchangedStore {
	const { name, retentionMs } = first;
	let current = first;
	const underWay = new Map<Store, number>();
	const left = new Set<Store>();
	const watches = new Set<Watching>();
	const stop = new AbortController();

	async function closeLeft(store: Store): Promise<void> {
		if (!left.has(store) || (underWay.get(store) ?? 0) > 0) return;
		left.delete(store);
		try {
			await store.close();
		} catch (error) {
			report(asFanoutError(error, "TransportUnavailable", "the registry's old store did not close cleanly"));
		}
	}

	async function on<T>(call: (store: Store) => Promise<T>): Promise<T> {
		const store = current;
		underWay.set(store, (underWay.get(store) ?? 0) + 1);
		try {
			return await call(store);
		} finally {
			const others = (underWay.get(store) ?? 1) - 1;
			if (others > 0) underWay.set(store, others);
			else underWay.delete(store);
			void closeLeft(store);
		}
	}

	async function watchAgain(watching: Watching): Promise<void> {
		const { scope, watcher } = watching;
		while (watches.has(watching)) {
			try {
				const watch = await on((store) => store.watch(scope, watcher, AbortSignal.timeout(timeoutMs)));
				const before = watching.watch;
				watching.watch = watch;
				await before.close().catch(() => {}); // its store may be closed by now, and it with it
				if (watches.has(watching)) watcher.suspect();
				else await watch.close();
				return;
			} catch (error) {
				report(asFanoutError(error, "TransportUnavailable", "sessions are not watched at their new place yet", true));
				await pause(clock, AGAIN_MS, stop.signal);
			}
		}
	}

	return {
		name,
		retentionMs,
		start: (signal) => current.start(signal),
		read: (place, signal) => on((store) => store.read(place, signal)),
		write: (place, row, expected, signal) => on((store) => store.write(place, row, expected, signal)),
		remove: (place, expected, signal) => on((store) => store.remove(place, expected, signal)),
		count: (scope, signal) => on((store) => store.count(scope, signal)),
		list: (scope, limit, after, signal) => on((store) => store.list(scope, limit, after, signal)),
		async watch(scope, watcher, signal) {
			const asked = current;
			const watching: Watching = { scope, watcher, watch: await on((store) => store.watch(scope, watcher, signal)) };
			watches.add(watching);
			if (asked !== current) void watchAgain(watching);
			return {
				async close() {
					if (watches.delete(watching)) await watching.watch.close();
				},
			};
		},
		rest: () => current.rest?.(),
		exchange(next) {
			left.add(current);
			const old = current;
			current = next;
			// A watch of the old place is closed there by itself, after it is open here.
			void Promise.all([...watches].map(watchAgain)).then(() => closeLeft(old));
		},
		async close() {
			stop.abort();
			watches.clear();
			const all = [current, ...left];
			left.clear();
			await Promise.all(all.map((store) => store.close()));
		},
	};
}
