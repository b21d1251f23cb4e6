/**
 * The contract of session registries, as a function of a harness: a new store over the same backend each time. Cases
 * own the observers' clock, so that a whole lease of silence takes no time and no assertion is about durations.
 */
import assert from "node:assert/strict";
import { type Channel, createChannel } from "../../core/channel.ts";
import { type Clock, pause, systemClock } from "../../core/clock.ts";
import { isFanoutError } from "../../core/errors.ts";
import { createIds } from "../../core/ids.ts";
import type { Claim, Held, Registry } from "../../sessions/port.ts";
import type { SessionRecord, Term } from "../../sessions/record.ts";
import { createRegistry } from "../../sessions/registry.ts";
import type { Store } from "../../sessions/store.ts";
import type { Lease } from "../../sessions/terms.ts";
import type { PromiseId } from "../transport/promises.ts";

export interface RegistryHarness {
	/** Over the same backend each time; not started. */
	createStore(): Promise<Store>;
	/** A namespace that no earlier case used. */
	namespace(): string;
	readonly limits: {
		/** How long a change may take to be told to a watcher. */
		readonly waitMs: number;
	};
}

export interface RegistryCase {
	readonly id: string;
	readonly promises: readonly PromiseId[];
	readonly title: string;
	run(harness: RegistryHarness): Promise<void>;
}

export function defineRegistryCase(
	id: string,
	promises: readonly PromiseId[],
	title: string,
	run: (bench: RegistryBench) => Promise<void>,
): RegistryCase {
	const cited = promises.map((promise) => `[${promise}]`).join(" ");
	return { id, promises, title: `${title} ${cited}`, run: (harness) => onRegistryBench(harness, run) };
}

export const LEASE_MS = 10_000;
export const TENANT = "tenant";
const CALL_TIMEOUT_MS = 10_000;

export interface MovableClock extends Clock {
	advance(ms: number): void;
}

function createMovableClock(): MovableClock {
	let ahead = 0;
	return {
		...systemClock,
		now: () => systemClock.now() + ahead,
		monotonic: () => systemClock.monotonic() + ahead,
		advance(ms) {
			ahead += ms;
		},
	};
}

/** One instance of a fleet: its own store, registry, clock and term. */
export interface Instance {
	readonly name: string;
	readonly registry: Registry;
	readonly store: Store;
	readonly clock: MovableClock;
	lease: Lease;
	readonly term: Term;
}

export interface RegistryBench {
	readonly harness: RegistryHarness;
	readonly namespace: string;
	instance(name: string, namespace?: string): Promise<Instance>;
	session(id: string, tenant?: string): Channel;
}

async function onRegistryBench(harness: RegistryHarness, run: (bench: RegistryBench) => Promise<void>): Promise<void> {
	const open: Registry[] = [];
	const namespace = harness.namespace();
	const ids = createIds(systemClock);
	try {
		await run({
			harness,
			namespace,
			session: (id, tenant = TENANT) => createChannel("session", id, { namespace, tenant }),
			async instance(name, ownNamespace = namespace) {
				const store = await harness.createStore();
				const clock = createMovableClock();
				const registry = createRegistry({ store, namespace: ownNamespace, clock, ids, timeoutMs: CALL_TIMEOUT_MS });
				open.push(registry);
				await registry.start();
				const lease = await registry.enlist(name, LEASE_MS);
				return { name, registry, store, clock, lease, term: lease.term };
			},
		});
	} finally {
		for (const registry of open) await registry.close();
	}
}

/** Claims and insists on it. */
export async function take(by: Instance, session: Channel, state: SessionRecord["state"] = null): Promise<Held> {
	const claim = await by.registry.claim(session, by.term, { state });
	assert.ok(claim.ok, `${by.name} claims`);
	return claim.held;
}

/** The refusal of a claim. */
export async function refused(by: Instance, session: Channel): Promise<Extract<Claim, { ok: false }>> {
	const claim = await by.registry.claim(session, by.term);
	assert.ok(!claim.ok, `${by.name} is refused`);
	return claim;
}

/** Sees the owner's version, lets a whole lease pass on the own clock, and takes what the silent owner had. */
export async function takeAfterSilence(by: Instance, session: Channel): Promise<Held> {
	const { waitMs } = await refused(by, session);
	by.clock.advance(waitMs);
	return take(by, session);
}

export async function throwsCode(code: string, what: string, work: () => Promise<unknown>): Promise<void> {
	try {
		await work();
	} catch (error) {
		assert.ok(isFanoutError(error), `${what}: ${String(error)}`);
		assert.equal(error.code, code, `${what}: ${error.message}`);
		return;
	}
	assert.fail(`${what}: not refused`);
}

export async function eventually(harness: RegistryHarness, what: string, holds: () => boolean): Promise<void> {
	const until = performance.now() + harness.limits.waitMs;
	while (!holds()) {
		assert.ok(performance.now() < until, `${what}: not within ${harness.limits.waitMs} ms`);
		await pause(systemClock, 20);
	}
}
