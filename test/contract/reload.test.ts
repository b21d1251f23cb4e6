/** Transports exchanged by their file on a real server, under load: what another process and this one's streams see of it. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createFanout, type Fanout } from "mcp-fanout";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type NatsNode, type NatsServers, startNatsServers } from "../support/nats.ts";

const directory = mkdtempSync(join(tmpdir(), "fanout-reload-"));
const file = join(directory, "fanout.toml");
const session = "s";
const LATE = { timeout: 15_000, interval: 50 };

let servers: NatsServers;
let here: Fanout;
let there: Fanout;
const listening: Heard[] = [];

/** Everything to nats first, while there is nats. */
const write = (nats: readonly string[] | undefined) => {
	const table = nats === undefined ? [] : ["[notification.nats]", `servers = ${JSON.stringify(servers.urls)}`, ...nats];
	writeFileSync(file, ["[notification]", "cluster_id = 'fleet'", "[notification.local]", ...table, ""].join("\n"));
};

beforeAll(async () => {
	servers = await startNatsServers(1);
	write(["storage = 'memory'"]);
	const config = { config: file, reload: { watch: false } };
	[here, there] = (await Promise.all([createFanout(config), createFanout(config)])) as [Fanout, Fanout];
});
afterAll(async () => {
	for (const heard of listening) heard.stop = true;
	await Promise.all([here?.close(), there?.close()]);
	await servers?.stop();
	rmSync(directory, { recursive: true, force: true });
});

interface Heard {
	readonly numbers: number[];
	/** Marks and ends, with how many numbers there were. */
	readonly told: { readonly is: string; readonly at: number }[];
	/** The last event id: it has one when its stream stands. */
	id: string;
	stop: boolean;
}

/** A client that comes back with its last event id. */
function listen(fanout: Fanout): Heard {
	const heard: Heard = { numbers: [], told: [], id: "", stop: false };
	listening.push(heard);
	const read = async () => {
		while (!heard.stop) {
			const headers = heard.id === "" ? {} : { "last-event-id": heard.id };
			const { body } = fanout.response(new Request("http://localhost/", { headers }), { session });
			let rest = "";
			for await (const chunk of body?.pipeThrough(new TextDecoderStream()) ?? []) {
				const events = (rest + chunk).split("\n\n");
				rest = events.pop() ?? "";
				for (const event of events) {
					heard.id = /^id: ?(.+)$/m.exec(event)?.[1] ?? heard.id;
					const told = /^event: (mark|end)$/m.exec(event)?.[1];
					const reason = /"reason":"([\w-]+)"/.exec(event)?.[1];
					if (told !== undefined) heard.told.push({ is: `${told} ${reason}`, at: heard.numbers.length });
					const n = /"n":(\d+)/.exec(event)?.[1];
					if (n !== undefined) heard.numbers.push(Number(n));
				}
			}
		}
	};
	read().catch(() => {});
	return heard;
}

const twice = (numbers: readonly number[]) => numbers.filter((n, index) => numbers.indexOf(n) !== index);
const disordered = (numbers: readonly number[]) => numbers.filter((n, index) => n < (numbers[index - 1] ?? 0));

test("[P2] [P3] [P4] [P7] settings changed, a transport taken out and put back under 500 messages/s: nothing accepted by nats is missing elsewhere, twice, or out of order", async () => {
	const [remote, local] = [listen(there), listen(here)];
	await expect.poll(() => [remote.id, local.id], LATE).not.toContain("");
	const by = new Map<number, string>();
	let failed = 0;
	let n = 0;
	const load = setInterval(() => {
		for (let at = 0; at < 5; at += 1) {
			n += 1;
			const number = n;
			here
				.to({ session })
				.send({ method: "notifications/progress", params: { n: number } })
				.then(
					({ accepted, queued }) => by.set(number, accepted[0]?.lane ?? `queued for ${queued[0]?.lane}`),
					() => {
						failed += 1;
					},
				);
		}
	}, 10);
	const sends = (count: number) => {
		const from = n;
		return expect.poll(() => n - from, LATE).toBeGreaterThan(count);
	};
	try {
		await sends(250);
		write(["storage = 'memory'", "ping_ms = 20000"]);
		expect(await here.reload()).toEqual({ changed: true, added: [], removed: [], replaced: ["nats"] });
		await sends(250);
		write(undefined);
		expect(await here.reload()).toEqual({ changed: true, added: [], removed: ["nats"], replaced: [] });
		await sends(150);
		write(["storage = 'memory'"]);
		expect(await here.reload()).toEqual({ changed: true, added: ["nats"], removed: [], replaced: [] });
		await sends(250);
	} finally {
		clearInterval(load);
	}
	await here.flush();
	expect(failed).toBe(0);
	expect(by.size).toBe(n);
	const shared = [...by].filter(([, lane]) => lane === "nats").map(([number]) => number);
	const own = [...by].filter(([, lane]) => lane === "local").map(([number]) => number);
	expect(shared.length + own.length).toBe(n);
	expect(Math.min(shared.length, own.length)).toBeGreaterThan(50);
	await expect.poll(() => remote.numbers.length, LATE).toBe(shared.length);
	expect(remote.numbers).toEqual(shared.sort((x, y) => x - y));
	expect(remote.told).toEqual([]);

	await expect.poll(() => local.numbers.includes(n), LATE).toBe(true);
	expect(twice(local.numbers)).toEqual([]);
	// There is no order across lanes.
	for (const lane of ["nats", "local"]) {
		expect(disordered(local.numbers.filter((number) => by.get(number) === lane))).toEqual([]);
	}
	// Resumed where the transport was exchanged; told where it was taken out and where it came back.
	const [exchanged, ...later] = local.told;
	expect(exchanged?.is).toBe("end moved");
	expect(new Set(later.map(({ is }) => is))).toEqual(new Set(["end gap", "mark gap"]));
	// Before the first of them, nothing of the lane that was taken out is missing.
	const before = local.numbers.slice(0, later[0]?.at).filter((number) => by.get(number) === "nats");
	expect(before).toEqual(shared.slice(0, before.length));
	expect(before.length).toBeGreaterThan(50);
	remote.stop = true;
	local.stop = true;
}, 60_000);

test("[P9] no connection of a transport that was let go is left at the server", async () => {
	const [node] = servers.nodes as [NatsNode];
	const connections = async () =>
		((await node.monitor("/connz")) as { connections: { name: string }[] }).connections.length;
	await expect.poll(connections, LATE).toBe(2);
});
