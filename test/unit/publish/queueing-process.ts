/** A process for outbox-file.test.ts: its lane refuses everything, it says which numbers were queued, and is killed. */
import { createFanout } from "mcp-fanout";
import { FakeBroker } from "../../../lambda/layer/src/testing/fake-broker.ts";
import { createFakeTransport } from "../../../lambda/layer/src/testing/fake-transport.ts";

const broker = new FakeBroker(() => 0.5);
broker.faults.refuse = 1;
const fanout = await createFanout({
	transports: [createFakeTransport(broker, { name: "wide" })],
	timeoutMs: 100,
	outbox: { file: process.argv[2] as string },
	breaker: { consecutiveFailures: 1 },
});
let n = 0;
const send = () => {
	for (let at = 0; at < 10; at += 1) {
		n += 1;
		const number = n;
		const message = { method: "notifications/message", params: { n: number } };
		fanout
			.to({ topic: `c${number % 3}` })
			.send(message)
			.then(({ queued }) => {
				if (queued.length === 1) console.log(number);
			});
	}
};
setInterval(send, 2);
