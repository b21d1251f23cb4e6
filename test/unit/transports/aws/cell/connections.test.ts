/** What a busy partition does not take at once. */
import { expect, it } from "vitest";
import { type Clock, systemClock } from "../../../../../lambda/layer/src/core/clock.ts";
import { createConnections } from "../../../../../lambda/layer/src/transports/aws/cell/connections.ts";
import type { DynamoClient } from "../../../../../lambda/layer/src/transports/aws/sdk.ts";

it("offers rows that the table did not take again after growing pauses, and gives up after some", async () => {
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
		return refusals >= 0 ? { UnprocessedItems: input.RequestItems } : {};
	};
	const connections = createConnections({ table: "t", dynamo: { send } as unknown as DynamoClient, clock });
	const connection = { id: "c", api: "backend", expiresAt: 1 } as const;
	await connections.follow(connection, ["k"]);
	expect(pauses).toEqual([50, 100, 200]);
	refusals = Number.POSITIVE_INFINITY;
	await expect(connections.follow(connection, ["k"])).rejects.toThrow("did not take all rows");
});
