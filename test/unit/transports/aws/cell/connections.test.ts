/** What a busy partition does not take at once. */
import { expect, it } from "vitest";
import { type Clock, systemClock } from "../../../../../lambda/layer/src/core/clock.ts";
import { createConnections } from "../../../../../lambda/layer/src/transports/aws/cell/connections.ts";
import type { DynamoClient } from "../../../../../lambda/layer/src/transports/aws/sdk.ts";

// Of a batch some rows are handed back, or, when its partition takes none of them, it fails as a whole.
const REFUSALS = ["UnprocessedItems", "ThrottlingException", "ProvisionedThroughputExceededException"];

it.each(REFUSALS)("offers rows again after growing pauses, and gives up after some: %s", async (refusal) => {
	const pauses: number[] = [];
	const clock: Clock = {
		...systemClock,
		after(ms, act, keepsAlive) {
			pauses.push(ms);
			return systemClock.after(0, act, keepsAlive);
		},
	};
	let refusals = 3;
	const send = async ({ input }: { input: { RequestItems: object } }) => {
		refusals -= 1;
		if (refusals < 0) return {};
		if (refusal === "UnprocessedItems") return { UnprocessedItems: input.RequestItems };
		throw Object.assign(new Error("the partition is busy"), { name: refusal });
	};
	const connections = createConnections({ table: "t", dynamo: { send } as unknown as DynamoClient, clock });
	const connection = { id: "c", api: "backend", expiresAt: 1 } as const;
	await connections.follow(connection, ["k"]);
	expect(pauses).toEqual([50, 100, 200]);
	refusals = Number.POSITIVE_INFINITY;
	await expect(connections.follow(connection, ["k"])).rejects.toThrow("did not take all rows");
});

it("does not offer again what the table refuses for another reason", async () => {
	const denied = Object.assign(new Error("not allowed"), { name: "AccessDeniedException" });
	const dynamo = { send: () => Promise.reject(denied) } as unknown as DynamoClient;
	const connections = createConnections({ table: "t", dynamo, clock: systemClock });
	await expect(connections.follow({ id: "c", api: "backend", expiresAt: 1 }, ["k"])).rejects.toBe(denied);
});
