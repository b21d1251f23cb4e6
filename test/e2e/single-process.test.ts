/** What docs/scaling-an-mcp-server.md starts from: the SDK alone, in two processes, and what is lost there. */
import { expect, test } from "vitest";
import { callMcp, listenMcp } from "../support/mcp-client.ts";
import { startMcpFleet } from "../support/mcp-fleet.ts";

const PAGE = "docs://page";

test("two processes of the SDK alone: an edit is heard where it was made, and nowhere else", async () => {
	const fleet = await startMcpFleet(2, { program: "single-process.ts" });
	const heard: string[][] = [[], []];
	const listeners = await Promise.all(
		fleet.processes.map(({ url }, index) => listenMcp(`${url}/mcp`, [PAGE], () => heard[index]?.push(PAGE))),
	);
	try {
		for (const { url } of fleet.processes) {
			const caller = await callMcp(`${url}/mcp`);
			await caller.call("edit", { uri: PAGE });
			await caller.close();
		}
		// Each heard of its own process's edit; with a fleet it would be two each.
		await expect.poll(() => heard.map(({ length }) => length), { timeout: 10_000 }).toEqual([1, 1]);
		await new Promise((resolve) => setTimeout(resolve, 300));
		expect(heard.map(({ length }) => length)).toEqual([1, 1]);
	} finally {
		for (const listener of listeners) await listener.close();
		await fleet.stop();
	}
}, 60_000);
