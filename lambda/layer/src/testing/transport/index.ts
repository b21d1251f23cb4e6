/**
 * The contract of transports, for the authors of one: map `transportCases` to your runner's tests with a harness of
 * your backend. A case throws when the transport breaks a promise; `missing` says why a case cannot run.
 */
import { acceptanceCases } from "./cases/acceptance.ts";
import { deliveryCases } from "./cases/delivery.ts";
import { isolationCases } from "./cases/isolation.ts";
import { orderCases } from "./cases/order.ts";
import { positionCases } from "./cases/positions.ts";
import { shutdownCases } from "./cases/shutdown.ts";
import type { TransportCase } from "./harness.ts";

export { citationsIn, coverageProblems } from "./coverage.ts";
export type { Harness, TransportCase } from "./harness.ts";
export { PROMISES, type Promised, type PromiseId } from "./promises.ts";

export const transportCases: readonly TransportCase[] = [
	...acceptanceCases,
	...orderCases,
	...positionCases,
	...isolationCases,
	...deliveryCases,
	...shutdownCases,
];
