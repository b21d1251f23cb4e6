import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { systemClock } from "../../lambda/layer/src/core/clock.ts";
import { createIds } from "../../lambda/layer/src/core/ids.ts";
import { createLocalTransport } from "../../lambda/layer/src/transports/local/index.ts";
import { runContract } from "./map.ts";

const ids = createIds(systemClock);
const eventsPerChannel = 40;
const folder = mkdtempSync(join(tmpdir(), "fanout-contract-"));
let count = 0;

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function harness(file: () => string | undefined) {
	return {
		createTransport: async () =>
			createLocalTransport(
				{ maxEventsPerChannel: eventsPerChannel, file: file() },
				{ clock: systemClock, ids, instanceId: `instance-${++count}` },
			),
		namespace: () => `contract-${++count}`,
		limits: { waitMs: 5_000, eventsPerChannel },
		alone: true,
	};
}

runContract("local, in memory", () => harness(() => undefined));
runContract("local, in a SQLite file", () => harness(() => join(folder, `${++count}.db`)));
