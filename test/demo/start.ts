/**
 * `npm start` after the bootstrap: the emulator, two regions, two server processes behind one address in each, three
 * real clients in each, and notifications from every side, shown as they arrive. `--once` is a fixed round with a table.
 */
import { deployCells } from "../support/deploy.ts";
import { startEmulator } from "../support/emulator.ts";
import { readFlags } from "../support/flags.ts";
import { startFleet } from "../support/fleet.ts";
import { createProgress } from "../support/progress.ts";
import { openClients } from "./clients.ts";
import { createLiveView } from "./live.ts";
import { openWays } from "./publishers.ts";
import { runForever, runOnce } from "./rounds.ts";
import { formatTable } from "./table.ts";
import { createTally, isClean } from "./tally.ts";

const USAGE = `usage: npm start [-- --once]
  --once  a fixed round and a table; the exit code says whether anything was lost, duplicated or out of order
  without it the clients show what arrives until Ctrl-C`;

const progress = createProgress();
const cleanups: (() => Promise<unknown>)[] = [];
const stop = new AbortController();

async function demo(once: boolean): Promise<number> {
	const emulator = await progress.step("AWS emulator", () => startEmulator(progress));
	cleanups.push(() => emulator.stop());
	stop.signal.throwIfAborted();
	const cells = await deployCells(emulator, progress);
	stop.signal.throwIfAborted();
	const fleet = await progress.step("two MCP server processes in each region", () => startFleet(emulator, cells));
	cleanups.push(() => fleet.stop());
	for (const site of fleet.sites) progress.note(`${site.cell.region}: ${site.url}/mcp, ${site.url}/events`);
	const view = createLiveView(progress);
	const tally = createTally((arrival) => view.arrival(arrival));
	const clients = await progress.step("an MCP, an SSE and a WebSocket client in each region", () =>
		Promise.all(fleet.sites.map((site) => openClients(site, tally))),
	);
	cleanups.push(() => Promise.all(clients.flat().map((client) => client.close())));
	const ways = await openWays(emulator, fleet);
	cleanups.push(() => Promise.all(ways.map((way) => way.close())));
	stop.signal.throwIfAborted();
	if (once) await progress.step("one round", () => runOnce(ways, tally, view));
	else {
		progress.note("publishing; Ctrl-C ends it");
		await runForever(ways, tally, view, stop.signal);
	}
	const rows = tally.rows();
	const oddities = tally.oddities();
	console.log(`\n${formatTable(rows)}\n`);
	console.log("sent and received count a message once for every client that must hear it\n");
	for (const oddity of oddities) console.log(oddity);
	return isClean(rows, oddities) ? 0 : 1;
}

async function cleanUp(): Promise<void> {
	for (const cleanup of cleanups.splice(0).reverse()) {
		await cleanup().catch((error: Error) => console.error(`while stopping: ${error.message}`));
	}
}

async function main(): Promise<void> {
	const { values } = readFlags(USAGE, { options: { once: { type: "boolean", default: false } } }, (parsed) => parsed);
	for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
		process.on(signal, () => {
			if (stop.signal.aborted) return;
			progress.note("stopping");
			stop.abort();
			// Whatever step is under way loses its processes and fails; the exit does not wait for it.
			if (values.once || cleanups.length < 4) void cleanUp().finally(() => process.exit(130));
		});
	}
	try {
		process.exitCode = await demo(values.once);
	} catch (error) {
		if (!stop.signal.aborted) console.error(error);
		process.exitCode = 1;
	} finally {
		await cleanUp();
	}
	// Keep-alive sockets of clients that are gone would hold the process for seconds.
	process.exit();
}

await main();
