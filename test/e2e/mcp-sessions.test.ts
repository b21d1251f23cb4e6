/** 2025-era sessions over three real processes, on NATS and on Valkey: servers and clients of v1 and v2, kills included. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runLeg } from "../conformance/suite.ts";
import { type BrokerKind, type McpFleet, type McpProcess, startMcpFleet } from "../support/mcp-fleet.ts";
import { connectSession, type Route, type SessionClient, type Version } from "../support/sessions/client.ts";
import { gather } from "../support/sessions/crowd.ts";

const EXPECTED_FAILURES = join(import.meta.dirname, "..", "conformance", "expected-failures.2025-11-25.yml");
const VERSIONS: readonly Version[] = ["v1", "v2"];
/** The published figure is of 10,000. */
const EVENTS = Number(process.env.SESSION_EVENTS ?? 900);
/** In one call. */
const AT_ONCE = 50;

const CROWD = 1_000;

const start = (version: Version, broker: BrokerKind) =>
	startMcpFleet(3, { example: "../test/support/sessions", program: `${version}.ts`, broker });
const methodIn = ({ body }: RequestInit): string | undefined =>
	typeof body === "string" ? (JSON.parse(body) as { method?: string }).method : undefined;

const WORLDS = (["nats", "redis"] as const).flatMap((broker) => VERSIONS.map((server) => ({ broker, server })));

for (const { broker, server } of WORLDS) {
	describe(`${server} servers on ${broker}`, () => {
		let fleet: McpFleet;
		let processes: [McpProcess, McpProcess, McpProcess];
		beforeAll(async () => {
			fleet = await start(server, broker);
			processes = fleet.processes as typeof processes;
		}, 120_000);
		afterAll(() => fleet?.stop());

		for (const client of VERSIONS) {
			test(`[P3] ${client} clients: initialize on A, GET on B, a question of A answered through C`, async () => {
				const [a, b, c] = processes;
				const gets: string[] = [];
				const route: Route = (init) => {
					if (init.method === "GET") gets.push(b.url);
					if (init.method === "GET") return b.url;
					return methodIn(init) === undefined ? c.url : a.url;
				};
				const one = await connectSession(client, route);
				try {
					await expect.poll(() => gets.length).toBe(1);
					expect(await one.call("ask")).toBe(`${new URL(a.url).port}: {"name":"ann"}`);
					expect(one.asked.count).toBe(1);
					await one.call("publish", { sessions: [one.session], from: 0, count: 20 });
					await expect.poll(() => one.heard).toEqual(Array.from({ length: 20 }, (_, n) => n));
				} finally {
					await one.close();
				}
			}, 60_000);
		}

		if (server === "v2") {
			test("the official suite: a stream that its server closes mid-call is resumed elsewhere", async () => {
				const name = "server-sse-polling";
				const args = ["--scenario", name, "--spec-version", "2025-11-25"];
				const leg = { name: `${name}, resumable`, args, expectedFailures: EXPECTED_FAILURES, passes: 3 };
				expect(await runLeg(leg, fleet.url, fleet.dir)).toContain("Passed: 3/3, 0 failed, 0 warnings");
			}, 60_000);
		}

		test("[P3] a process that runs a call is killed: its client hears an error elsewhere; one that drains loses nothing", async () => {
			const doomed = await start(server, broker);
			try {
				const [a, b, c] = doomed.processes as [McpProcess, McpProcess, McpProcess];
				let at = a;
				const one = await connectSession("v2", (init) => (init.method === "GET" && at === a ? b.url : at.url));
				const call = one.call("wait");
				const failed = expect(call).rejects.toThrow("the process that ran the request is gone");
				// Its stream has begun, so that there is something to come back for.
				await expect.poll(one.streams).toBe(1);
				const crowd = await gather(a.url, CROWD);
				at = b;
				await a.kill();
				// All come back at the same moment: none is refused, and each is taken over.
				const back = await crowd.comeTo((n) => (n % 2 === 0 ? b.url : c.url));
				expect(back).toEqual(back.map(() => [200, 200]));
				crowd.leave();
				await failed;
				expect(await one.call("where")).toBe(new URL(b.url).port);

				// One that goes in good order hands its streams and sessions to the others.
				at = c;
				const publishing = one.call("publish", { sessions: [one.session], from: 0, count: 300 });
				await expect.poll(() => one.heard.length).toBeGreaterThan(0);
				await b.proc.stop();
				await publishing;
				const all = Array.from({ length: 300 }, (_, n) => n);
				await expect.poll(() => one.heard.length, { timeout: 20_000 }).toBe(all.length);
				expect(one.heard).toEqual(all);
				await one.close();
			} finally {
				await doomed.stop();
			}
		}, 120_000);

		test("[P3] two processes are killed while events come: in order, none lost, none twice", async () => {
			const [a, b, c] = processes;
			const dead = new Set<string>();
			/** The first of its own that lives; the publisher's process is never killed. */
			const prefer = (urls: readonly string[], places: string[]): Route => {
				return (init) => {
					if (init.method !== "GET") return a.url;
					const url = urls.find((one) => !dead.has(one)) ?? a.url;
					if (places.at(-1) !== url) places.push(url);
					return url;
				};
			};
			const places: [string[], string[]] = [[], []];
			const clients = await Promise.all([
				connectSession("v1", prefer([b.url, c.url], places[0])),
				connectSession("v2", prefer([c.url, b.url], places[1])),
			]);
			try {
				const sessions = clients.map(({ session }) => session);
				const publisher = clients[0] as SessionClient;
				let sent = 0;
				for (const killed of [b, c, undefined]) {
					const from = sent;
					let isWhole = killed === undefined;
					const publish = async () => {
						// Beyond the kill, however fast or slow the machine is: it is to come in the middle.
						while (sent < from + EVENTS / 3 || !isWhole) {
							await publisher.call("publish", { sessions, from: sent, count: AT_ONCE });
							sent += AT_ONCE;
						}
					};
					const publishing = publish();
					try {
						const begun = () => clients.every(({ heard }) => heard.length > from);
						await expect.poll(begun, { timeout: 30_000, interval: 2 }).toBe(true);
						if (killed !== undefined) {
							dead.add(killed.url);
							await killed.kill();
						}
					} finally {
						isWhole = true;
					}
					await publishing;
				}
				const all = Array.from({ length: sent }, (_, n) => n);
				await expect
					.poll(() => clients.map(({ heard }) => heard.length), { timeout: 30_000 })
					.toEqual([all.length, all.length]);
				for (const { heard } of clients) expect(heard).toEqual(all);
				expect(places).toEqual([
					[b.url, c.url, a.url],
					[c.url, a.url],
				]);
			} finally {
				await Promise.all(clients.map((one) => one.close()));
			}
		}, 180_000);
	});
}
