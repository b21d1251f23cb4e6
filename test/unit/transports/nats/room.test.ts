import { expect, test } from "vitest";
import { Room } from "../../../../lambda/layer/src/transports/nats/room.ts";

test("[P6] a room lets in while there is any, then in line; a request for more than all of it enters when it is empty", async () => {
	const room = new Room(2);
	const entered: string[] = [];
	expect(room.enter(1)).toBeUndefined();
	expect(room.enter(1)).toBeUndefined();
	const big = room.enter(5)?.then(() => entered.push("big"));
	const small = room.enter(1)?.then(() => entered.push("small"));
	room.leave(1);
	await big;
	expect(entered).toEqual(["big"]);
	room.leave(1);
	await undefined;
	expect(entered).toEqual(["big"]);
	room.leave(5);
	await small;
	expect(entered).toEqual(["big", "small"]);
});
