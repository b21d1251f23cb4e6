/** Real processes that want one session: stopped past their lease, woken again, killed. The history judges them. */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { Redis } from "ioredis";
import { afterEach, expect, test } from "vitest";
import { pause, systemClock } from "../../lambda/layer/src/core/clock.ts";
import { type Broker, startNats, startValkey } from "../support/broker.ts";
import { waitFor } from "../support/proc.ts";
import { CHILD_PATH } from "../support/root.ts";
import { HISTORY, LEASE_MS } from "./registry-process.ts";

const ROUNDS = 3;
const open: { stop(): Promise<void> }[] = [];

afterEach(async () => {
	for (const one of open.splice(0).reverse()) await one.stop();
});

function startProcess(history: string, store: string, instance: string): ChildProcess {
	const script = join(import.meta.dirname, "registry-process.ts");
	const child = spawn(process.execPath, ["--conditions=mcp-fanout-source", script, history, store, instance], {
		env: { PATH: CHILD_PATH },
		stdio: ["ignore", "inherit", "inherit"],
	});
	open.push({
		stop: async () => {
			if (child.exitCode !== null || child.signalCode !== null) return;
			const gone = new Promise((resolve) => child.once("exit", resolve));
			child.kill("SIGKILL");
			await gone;
		},
	});
	return child;
}

async function opened<Server extends Broker>(start: Promise<Server>): Promise<Server> {
	const server = await start;
	open.push(server);
	return server;
}

for (const [name, startStore] of [
	["nats", startNats],
	["redis", startValkey],
] as const) {
	test(`[P8] ${name}: a process that was stopped past its lease, or killed, is replaced, and acts no more for that epoch`, async () => {
		const { url: history } = await opened(startValkey());
		const { url: store } = await opened(startStore());
		const redis = new Redis(history);
		open.push({ stop: async () => redis.disconnect() });
		const lines = async () => (await redis.lrange(HISTORY, 0, -1)).map((line) => line.split(" ") as [string, string]);
		const fleet = new Map(["a", "b", "c"].map((instance) => [instance, startProcess(history, store, instance)]));
		const replaced = (epoch: number, than: string) =>
			waitFor(
				`another owner than ${than}`,
				async () => {
					const [last, who] = (await lines()).at(-1) ?? ["0", than];
					return Number(last) > epoch && who !== than;
				},
				{ deadlineMs: 20_000 },
			);
		await replaced(0, "nobody");
		for (let round = 0; round < ROUNDS; round += 1) {
			const [epoch, who] = (await lines()).at(-1) as [string, string];
			const owner = fleet.get(who) as ChildProcess;
			owner.kill(round === ROUNDS - 1 ? "SIGKILL" : "SIGSTOP");
			await replaced(Number(epoch), who);
			owner.kill("SIGCONT");
			await pause(systemClock, LEASE_MS);
		}
		const told = await lines();
		const epochs = told.map(([epoch]) => Number(epoch));
		// An act of an older epoch after one of a newer would be two owners at the same time.
		const late = epochs.findIndex((epoch, index) => epoch < (epochs[index - 1] ?? 0));
		// One line may have been under way, past the look, when its process was stopped: it lands when that one wakes.
		const strays = epochs.filter((epoch, index) => epoch < Math.max(...epochs.slice(0, index), 0));
		expect(strays.length, `strays from line ${late}`).toBeLessThanOrEqual(ROUNDS - 1);
		for (const epoch of new Set(epochs)) {
			expect(new Set(told.filter(([of]) => Number(of) === epoch).map(([, who]) => who)).size).toBe(1);
		}
		expect(new Set(epochs).size).toBeGreaterThan(ROUNDS);
	}, 90_000);
}
