/** Defaults of a registry and its owners, apart so that they are named without loading one. */
export const DEFAULT_REGISTRY_TIMEOUT_MS = 2_000;
export const DEFAULT_LEASE_MS = 15_000;
export const DEFAULT_MAX_HOLDS = 100_000;
