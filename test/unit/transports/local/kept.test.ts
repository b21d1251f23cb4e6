import { expect, test } from "vitest";
import type { Notification } from "../../../../lambda/layer/src/core/message.ts";
import { BEGINNING } from "../../../../lambda/layer/src/core/position.ts";
import { numbers, readPage, started, topic } from "./support.ts";

const a = topic("a");

test("[P4] keeps what was accepted, whatever its publisher and its readers do to their objects", async () => {
	const { transport, envelope } = await started();
	const given = envelope(a, 1);
	transport.accept?.(given);
	const spoil = (of = given) => Object.assign((of.message as Notification).params as object, { n: 99 });
	spoil(given);
	const read = async () => (await readPage(transport, a, BEGINNING)).entries;
	expect(numbers(await read())).toEqual([1]);
	spoil((await read())[0]?.envelope);
	expect(numbers(await read())).toEqual([1]);
});
