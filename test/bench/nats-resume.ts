/** `npm run bench -- nats-resume`: resumes out of JetStream's log, and a connection cut with ten thousand channels. */
import { parseArgs } from "node:util";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { systemClock } from "../../lambda/layer/src/core/clock.ts";
import { createNatsTransport, DEFAULT_PARTITIONS } from "../../lambda/layer/src/transports/nats/index.ts";
import { startNatsServers } from "../support/nats.ts";
import { tamper } from "../support/nats-tamper.ts";
import { ids, judgeResumes, measureResumes } from "./resumes.ts";

export async function run(args: readonly string[]): Promise<boolean> {
	const { values } = parseArgs({
		args: [...args],
		options: {
			sessions: { type: "string", default: "10000" },
			missed: { type: "string", default: "10" },
			partitions: { type: "string", default: String(DEFAULT_PARTITIONS) },
		},
	});
	const partitions = Number(values.partitions);
	const [sessions, missed] = [Number(values.sessions), Number(values.missed)];
	const servers = await startNatsServers();
	const open: NatsConnection[] = [];
	try {
		// The last instance follows ten thousand channels: its connection is ours to cut, and counted.
		const last = await connect({ servers: servers.urls, maxReconnectAttempts: -1, reconnectTimeWait: 50 });
		open.push(last);
		const counted = tamper(last);
		let created = 0;
		const figures = await measureResumes({
			create: () => {
				created += 1;
				const how = created === 4 ? { connection: counted.nc } : { servers: servers.urls };
				const parts = { clock: systemClock, ids, instanceId: ids.next() };
				return createNatsTransport({ ...how, storage: "file", maxMessages: 8_000_000, partitions }, parts);
			},
			async cut() {
				counted.asked.length = 0;
				await last.reconnect();
			},
			...{ sessions, missed, single: 1_000, together: 1_000 },
		});
		const isMet = judgeResumes(figures, { sessions, missed });
		console.log(`${partitions} partitions; asked of JetStream from the cut on: ${counted.asked.length} requests`);
		return isMet;
	} finally {
		for (const nc of open) await nc.close();
		await servers.stop();
	}
}
