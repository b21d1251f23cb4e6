/** Defaults of an owner, apart so that a configuration names them without loading one. */
export const DEFAULT_LEASE_MS = 15_000;
export const DEFAULT_MAX_HOLDS = 100_000;
