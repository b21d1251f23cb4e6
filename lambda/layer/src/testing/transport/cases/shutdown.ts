/** P9: closing is complete, and complete again. */
import assert from "node:assert/strict";
import { collect, envelopeOf, eventually, never, onBench, send } from "../bench.ts";
import { defineCase } from "../harness.ts";

/** What keeps this process alive, by type; a test runner's own handles are there before and after. */
function handles(): Map<string, number> {
	const counts = new Map<string, number>();
	for (const type of process.getActiveResourcesInfo()) {
		if (!/Timeout|Immediate|FSReq/.test(type)) counts.set(type, (counts.get(type) ?? 0) + 1);
	}
	return counts;
}

export const shutdownCases = [
	defineCase("close-twice", ["P9"], "close is idempotent, and whatever is asked afterwards is refused", (harness) =>
		onBench(harness, async (bench) => {
			const { transport } = bench;
			const channel = bench.channel("a");
			const live = collect();
			const subscription = transport.subscribe(channel, live);
			await subscription.ready;
			await Promise.all([transport.close(), transport.close()]);
			await transport.close();
			subscription.close();
			const envelope = envelopeOf(transport, channel, 1);
			const outcomes = await transport.publish(channel, [envelope], { mayExist: false }, never).catch(() => []);
			assert.ok(outcomes.every(({ ok }) => !ok));
			await assert.rejects(transport.ends([channel], never));
			await assert.rejects(transport.subscribe(channel, collect()).ready);
			await assert.rejects(async () => {
				const from = { epoch: "00000001", offset: 0 };
				for await (const _page of transport.read([{ channel, from, limit: 1 }], never)) break;
			});
			assert.deepEqual(live.entries, []);
		}),
	),
	defineCase("close-unstarted", ["P9"], "a transport that was never started closes as well", async (harness) => {
		const transport = await harness.createTransport();
		await transport.close();
		await transport.close();
	}),
	defineCase("close-leaves-nothing", ["P9"], "after close no socket, timer or listener stays", async (harness) => {
		const before = handles();
		await onBench(harness, async (bench) => {
			for (const id of ["a", "b"]) {
				const channel = bench.channel(id);
				await bench.transport.subscribe(channel, collect()).ready;
				await send(bench.transport, channel, 1);
			}
		});
		await eventually(harness, "handles are released", async () => {
			const now = handles();
			return [...now].every(([type, count]) => count <= (before.get(type) ?? 0)) ? true : undefined;
		});
		assert.equal(harness.waitingTimers?.() ?? 0, 0);
	}),
];
