/** A process that publishes to a file, says what was accepted, and is killed in the middle. */
import { writeSync } from "node:fs";
import { started, topic } from "./support.ts";

const { send } = await started({ file: process.argv[2], maxEventsPerChannel: 10_000 });
const channel = topic("killed");
for (let n = 1; n < 100_000; n += 1) {
	const [outcome] = await send(channel, n);
	if (outcome?.ok) writeSync(1, `${n}\n`);
}
