/**
 * Reading the configuration again: when asked, when its file changes, and on SIGHUP. One at a time; what is asked for
 * meanwhile is one more, with what the file says then. What is wrong is told with its places, and everything stays.
 */
import { resolve } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { Assembled, Exchanged } from "./assembly.ts";
import { configured } from "./config/configured.ts";
import type { Configuration } from "./config/file/load.ts";
import { type FileWatch, watchFile } from "./config/file-watch.ts";
import { type FixedChange, fixedChanges } from "./config/fixed.ts";
import { type FanoutOptions, resolveOptions } from "./config/options.ts";
import type { Clock } from "./core/clock.ts";
import { asFanoutError, FanoutError } from "./core/errors.ts";
import { emit } from "./observe/events.ts";

export interface Reloaded extends Exchanged {
	/** False: the configuration says what it said before. */
	readonly changed: boolean;
}

export interface ReloadDeps {
	readonly clock: Clock;
	/** What `createFanout` was given, and what it became with the file. */
	readonly given: FanoutOptions;
	readonly by: Configuration & { readonly file: string };
	readonly first: Assembled;
	/** Whether the session registry is open: where sessions are kept then stays. */
	keepsSessions(): boolean;
	/** Puts it in force; everything stays as it was when it rejects. */
	exchange(to: Assembled, signal: AbortSignal): Promise<Exchanged>;
	/** Told of what nobody waited for. */
	report(error: FanoutError): void;
}

export interface Reloads {
	reload(): Promise<Reloaded>;
	/** Nothing is read any more; resolves when what was under way is over. Idempotent; no timer or listener stays. */
	close(): Promise<void>;
}

const NOTHING: Exchanged = { added: [], removed: [], replaced: [] };

function fixedError(changes: readonly FixedChange[], by: Configuration | undefined): FanoutError | undefined {
	const wrongs = changes.map(({ table, key, was: before, found }) => {
		const message = "cannot change while the process runs: start it anew";
		return { table, key, message, found, allowed: String(before ?? "not given") };
	});
	return wrongs.length === 0 ? undefined : by?.refuse(wrongs);
}

export function createReloads({ clock, given, by, first, keepsSessions, exchange, report }: ReloadDeps): Reloads {
	const file = resolve(by.file);
	const stop = new AbortController();
	let current = first;
	let running: Promise<unknown> = Promise.resolve();
	let waiting: Promise<Reloaded> | undefined;
	let watch: FileWatch | undefined;
	let isListening = false;

	async function apply(): Promise<Reloaded> {
		if (stop.signal.aborted) throw new FanoutError("Closed", "the fanout is closed");
		const read = await configured({ ...given, config: file });
		const settings = resolveOptions(read.options);
		const error = fixedError(fixedChanges(current, settings, keepsSessions()), read.by);
		if (error !== undefined) throw error;
		const next = { ...read.options, ...settings };
		if (isDeepStrictEqual(next, current)) return { changed: false, ...NOTHING };
		const exchanged = await exchange(next, stop.signal);
		current = next;
		listen();
		return { changed: true, ...exchanged };
	}

	async function run(): Promise<Reloaded> {
		try {
			const reloaded = await apply();
			const { changed, ...names } = reloaded;
			emit("reload", { file, outcome: changed ? "changed" : "unchanged", ...names });
			return reloaded;
		} catch (thrown) {
			const error = asFanoutError(thrown, "ConfigInvalid", "the configuration could not be read again");
			emit("reload", { file, outcome: "refused", ...NOTHING, error });
			throw error;
		}
	}

	function reload(): Promise<Reloaded> {
		waiting ??= running.then(() => {
			waiting = undefined;
			const next = run();
			running = next.catch(() => {});
			return next;
		});
		return waiting;
	}

	const unasked = (): void => {
		reload().catch((error) => {
			if (!stop.signal.aborted) report(error);
		});
	};

	/** What reads the file unasked from now on. */
	function listen(): void {
		if (stop.signal.aborted) return;
		const { watch: isWatched, onSighup } = current.reload;
		if (isWatched) watch ??= watchFile(file, by.signature, clock, unasked);
		else {
			watch?.close();
			watch = undefined;
		}
		if (onSighup === isListening) return;
		isListening = onSighup;
		if (onSighup) process.on("SIGHUP", unasked);
		else process.off("SIGHUP", unasked);
	}

	listen();
	return {
		reload,
		async close() {
			stop.abort(new FanoutError("Closed", "the fanout is closed"));
			watch?.close();
			process.off("SIGHUP", unasked);
			await waiting?.catch(() => {});
			await running;
		},
	};
}
