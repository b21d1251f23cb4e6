import { expect, test } from "vitest";
import { createFanout, type FanoutOptions } from "../../../lambda/layer/src/index.ts";
import { createFakeTransport, FakeBroker } from "../../../lambda/layer/src/testing/index.ts";

const whole = () => createFakeTransport(new FakeBroker(() => 0.5), { name: "mine" });
const without = (name: string) => ({ ...whole(), [name]: undefined });
const stating = (changes: object) => ({ ...whole(), capabilities: { ...whole().capabilities, ...changes } });

test("a transport of the caller's own that is none is refused before anything starts, with what it lacks", async () => {
	const wrong: readonly [string, unknown][] = [
		["transports must be a list of transports", whole()],
		["transports[0] must be a transport, made", [() => whole()]],
		["transports[1] must be a transport, made", [whole(), null]],
		["transports[0].name must be a text", [without("name")]],
		["transports[0].place must be a text", [without("place")]],
		["transports[0].ends must be a function", [without("ends")]],
		["transports[0].capabilities must be an object", [without("capabilities")]],
		["transports[0].capabilities.reach must be one of process, fleet, region, global", [stating({ reach: "host" })]],
		["transports[0].capabilities.replay must be true or false", [stating({ replay: undefined })]],
		["transports[0].capabilities.endCheckMs must be a time in milliseconds", [stating({ endCheckMs: "1s" })]],
		["transports[0].capabilities.maxPayloadBytes must be a number of bytes", [stating({ maxPayloadBytes: 0 })]],
		["transports[0].capabilities.batch must be { count, bytes }, both positive", [stating({ batch: { count: 1 } })]],
	];
	for (const [message, transports] of wrong) {
		await expect(createFanout({ transports } as FanoutOptions)).rejects.toThrow(message);
	}
});

test("one that is whole carries what is published, and its lane is named in the receipt", async () => {
	const fanout = await createFanout({ transports: [whole()] });
	const { accepted } = await fanout.notify.toolsChanged();
	expect(accepted).toMatchObject([{ lane: "mine", reach: "fleet" }]);
	await fanout.close();
});
