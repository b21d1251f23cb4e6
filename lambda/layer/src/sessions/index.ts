/** Who owns which session, in a fleet: the registry over one of four stores, the owner's side of it, and its drain. */
export type { DrainRequest } from "../core/drain.ts";
export { type Drained, type DrainOptions, drainSessions } from "./drain.ts";
export { createDynamoStore, type DynamoStoreOptions, REGISTRY_TABLE } from "./dynamo-store.ts";
export type { Hold } from "./hold.ts";
export { DEFAULT_LEASE_MS } from "./limits.ts";
export { createMemoryStore, type MemoryStoreOptions, MemoryTable } from "./memory-store.ts";
export { createNatsStore, type NatsStoreOptions } from "./nats-store.ts";
export { REGISTRY_STORES, type RegistryStore, type SessionRegistryOptions } from "./options.ts";
export {
	type Claimed,
	type ClaimOptions,
	createOwner,
	type Owner,
	type OwnerOptions,
} from "./owner.ts";
export type {
	Basis,
	ChangeListener,
	Claim,
	Held,
	Opening,
	Patch,
	Registry,
	SessionChange,
	SessionPage,
} from "./port.ts";
export type { Json, SessionRecord, Term, TermState } from "./record.ts";
export { createRedisStore, type RedisStoreOptions } from "./redis-store.ts";
export { createRegistry, type RegistryOptions } from "./registry.ts";
export type { Sessions } from "./sessions.ts";
export type { Store } from "./store.ts";
export type { Lease } from "./terms.ts";
