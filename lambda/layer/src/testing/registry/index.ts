/** The contract of session registries, for the authors of a store: map `registryCases` to your runner's tests. */
import { listingCases } from "./cases/listing.ts";
import { ownershipCases } from "./cases/ownership.ts";
import { recordCases } from "./cases/records.ts";
import type { RegistryCase } from "./harness.ts";

export type { RegistryCase, RegistryHarness } from "./harness.ts";

export const registryCases: readonly RegistryCase[] = [...ownershipCases, ...recordCases, ...listingCases];
