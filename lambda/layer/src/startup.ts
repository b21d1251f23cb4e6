/**
 * Starting transports: each under its deadline, at the same time. `fail`: one that does not start stops everything.
 * `degrade`: one that starts is enough, and the others are tried again until they do or the fanout closes.
 */
import { fullJitter } from "./core/backoff.ts";
import { type Clock, pause } from "./core/clock.ts";
import { withDeadline } from "./core/deadline.ts";
import { asFanoutError, FanoutError, isFanoutError } from "./core/errors.ts";
import type { Transport, TransportEvent } from "./core/transport.ts";
import type { FanoutEvents } from "./observe/events.ts";

export type TransportState = FanoutEvents["transport"]["state"];

export interface StartDeps {
	readonly clock: Clock;
	readonly startup: "fail" | "degrade";
	readonly startTimeoutMs: number;
	/** Aborts the tries that go on in the background. */
	readonly stop: AbortSignal;
	/** What is said of a transport's connection from now on. */
	enter(transport: Transport, state: TransportState): void;
	/** Those that have not started and are tried again: what resolves when they have. */
	readonly late: WeakMap<Transport, PromiseWithResolvers<void>>;
	/** One that was late has started. */
	joined(transport: Transport): Promise<void>;
	/** False for one that has been let go meanwhile: it is not tried again. */
	isWanted(transport: Transport): boolean;
	random(): number;
	report(error: FanoutError): void;
}

/** Not where a library is missing, or a setting is wrong. */
const mayStart = ({ reason }: { readonly reason: unknown }) => !isFanoutError(reason) || reason.retryable;

const RETRY = { baseMs: 1_000, capMs: 30_000 } as const;

export async function startTransports(transports: readonly Transport[], deps: StartDeps): Promise<void> {
	const start = async (transport: Transport): Promise<void> => {
		const { place } = transport;
		deps.enter(transport, "starting");
		let first: FanoutError | undefined;
		const report = (event: TransportEvent) => {
			if (event.kind !== "error") return deps.enter(transport, event.kind);
			first ??= event.error;
			deps.report(event.error);
		};
		const begin = (signal: AbortSignal) => transport.start({ report }, signal);
		try {
			await withDeadline(deps.clock, deps.startTimeoutMs, `the start of ${place}`, begin, deps.stop);
		} catch (error) {
			// It may have had a connection until it was refused something.
			deps.enter(transport, "starting");
			if (first === undefined || !isFanoutError(error, "DeadlineExceeded")) throw error;
			const { code, retryable, data } = error;
			throw new FanoutError(code, `${error.message}: ${first.message}`, { cause: first, retryable, data });
		}
		deps.enter(transport, "connected");
	};
	const retry = async (transport: Transport): Promise<void> => {
		for (let attempt = 0; !deps.stop.aborted; attempt += 1) {
			await pause(deps.clock, fullJitter(attempt, RETRY, deps.random), deps.stop);
			if (deps.stop.aborted || !deps.isWanted(transport)) return;
			try {
				await start(transport);
			} catch (error) {
				if (deps.stop.aborted) return;
				deps.report(asFanoutError(error, "TransportUnavailable", `${transport.place} could not start`, true));
				continue;
			}
			deps.late.get(transport)?.resolve();
			deps.late.delete(transport);
			return deps.joined(transport);
		}
	};

	const results = await Promise.allSettled(transports.map(start));
	const failed = results.flatMap((result, index) =>
		result.status === "rejected"
			? [{ transport: transports[index] as Transport, reason: result.reason as unknown }]
			: [],
	);
	if (failed.length === 0) return;
	if (deps.startup === "fail" || failed.length === transports.length) {
		const [first] = failed;
		const message = failed.map(
			({ transport, reason }) => `${transport.place}: ${reason instanceof Error ? reason.message : reason}`,
		);
		throw new FanoutError("TransportUnavailable", `no start: ${message.join("; ")}`, {
			cause: first?.reason,
			causes: failed.map(({ reason }) => reason),
			// Where every transport must start, one that never will is enough.
			retryable: deps.startup === "fail" ? failed.every(mayStart) : failed.some(mayStart),
			data: { transports: failed.map(({ transport }) => transport.place), startTimeoutMs: deps.startTimeoutMs },
		});
	}
	for (const { transport, reason } of failed) {
		deps.late.set(transport, Promise.withResolvers());
		deps.report(asFanoutError(reason, "TransportUnavailable", `${transport.place} could not start`, true));
		retry(transport).catch((error) => deps.report(asFanoutError(error, "TransportUnavailable", "a start failed")));
	}
}
