/** `fanout sessions` beside a fleet that owns some, on both brokers. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { main } from "../../cli/main.ts";
import { createChannel, createFanout, type Fanout } from "../../lambda/layer/src/index.ts";
import { startNats, startValkey } from "../support/broker.ts";

const directory = mkdtempSync(join(tmpdir(), "fanout-cli-sessions-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const ROWS = {
	async nats() {
		const { url, stop } = await startNats();
		return { table: `[notification.nats]\nservers = ["${url}"]\npartitions = 2\nstorage = "memory"\n`, stop };
	},
	async redis() {
		const { url, stop } = await startValkey();
		return { table: `[notification.redis]\nurl = "${url}"\n`, stop };
	},
};

describe.each(Object.entries(ROWS))("%s", (name, start) => {
	const file = join(directory, `${name}.toml`);
	let stop: (() => Promise<void>) | undefined;
	let [a, b]: Fanout[] = [];
	beforeAll(async () => {
		const place = await start();
		stop = place.stop;
		writeFileSync(file, `[notification]\ncluster_id = "cli"\n${place.table}`);
		[a, b] = await Promise.all([createFanout({ config: file }), createFanout({ config: file })]);
	});
	afterAll(async () => {
		await Promise.all([a?.close(), b?.close()]);
		await stop?.();
	});

	async function run(...args: readonly string[]) {
		const out: string[] = [];
		const err: string[] = [];
		const output = { out: (text: string) => void out.push(text), err: (text: string) => void err.push(text) };
		const code = await main(["sessions", ...args], { FANOUT_CONFIG: file }, output);
		return { code, out, err: err.join("\n") };
	}
	const channelOf = (id: string, tenant?: string) => createChannel("session", id, { namespace: "cli", tenant });

	test("[P10] whose each is, and how its owner's term is written; never what is kept of it", async () => {
		expect(await run()).toEqual({ code: 0, out: [], err: "" });
		const kept = { facts: { secret: "s3cret-fact" }, state: { secret: "s3cret-state" } };
		await a?.sessions.claim(channelOf("one"), { principal: "ann", ...kept });
		await b?.sessions.claim(channelOf("two"), { principal: "a b\n\u009b31m", ...kept });
		await (await a?.sessions.registry())?.create(channelOf("free"), kept);
		await b?.sessions.claim(channelOf("elsewhere", "other"));
		const { code, out, err } = await run();
		expect([code, err]).toEqual([0, ""]);
		const time = String.raw`\d{4}-\d\d-\d\dT[\d:.]+Z`;
		const line = (text: string) => expect.stringMatching(new RegExp(`^${text} created=${time} touched=${time}$`));
		expect(out.toSorted()).toEqual([
			line("free principal=- owner=- term=- epoch=1"),
			line(`one principal=ann owner=${a?.instanceId} term=live epoch=1`),
			line(String.raw`two principal="a b\\n\\u009b31m" owner=${b?.instanceId} term=live epoch=1`),
		]);
		const all = [out, (await run("--json")).out, (await run("--json", "--session", "one")).out].flat().join("\n");
		expect(all).not.toMatch(/s3cret|facts|state/);
	});

	test("one of them, of the tenant that is asked for, or none with exit code 1", async () => {
		const { code, out } = await run("--session", "two", "--json");
		expect([code, out.length]).toEqual([0, 1]);
		expect(JSON.parse(out[0] ?? "")).toEqual({
			...{ session: "two", principal: "a b\n\u009b31m", owner: b?.instanceId, term: "live", leaseMs: 15_000, epoch: 1 },
			createdAt: expect.any(Number),
			touchedAt: expect.any(Number),
		});
		expect((await run("--session", "elsewhere", "--tenant", "other")).out[0]).toMatch(/^elsewhere principal=- owner=/);
		expect(await run("--session", "elsewhere")).toEqual({
			...{ code: 1, out: [] },
			err: "no session elsewhere of the tenant default",
		});
	});

	test("page by page, and their number", async () => {
		const seen: string[] = [];
		let after: string[] = [];
		do {
			const { code, out } = await run("--json", "--limit", "1", ...after);
			expect(code).toBe(0);
			const lines = out.map((line) => JSON.parse(line) as { session?: string; next?: string });
			seen.push(...lines.flatMap(({ session }) => session ?? []));
			const { next } = lines.at(-1) ?? {};
			after = next === undefined ? [] : ["--after", next];
		} while (after.length > 0);
		expect(seen.toSorted()).toEqual(["free", "one", "two"]);
		const [, more] = (await run("--limit", "1")).out;
		expect(more).toMatch(/^more: --after \S+$/);
		expect((await run("--count")).out).toEqual(["3"]);
		expect((await run("--count", "--json", "--tenant", "nobody")).out).toEqual(['{"sessions":0}']);
		expect(await run("--after", "of another")).toMatchObject({
			code: 1,
			out: [],
			err: expect.stringContaining("no cursor"),
		});
	});

	test("a transport that is away, and keeps none of them, is told of and hides none", async () => {
		const other = name === "nats" ? "redis" : "nats";
		const away = other === "redis" ? 'url = "redis://127.0.0.1:9"' : 'servers = ["nats://127.0.0.1:9"]\npriority = 9';
		const more = `[notification.${other}]\n${away}\nconnect_timeout_ms = 300\n`;
		const beside = join(directory, `${name}-beside.toml`);
		writeFileSync(beside, readFileSync(file, "utf8") + more);
		const { code, out, err } = await run(beside, "--session", "one");
		expect([code, out]).toEqual([0, [expect.stringMatching(/^one principal=ann /)]]);
		expect(err).toMatch(/^TransportUnavailable: .*127\.0\.0\.1:9/);
	});

	test("a term that was given back is told as such", async () => {
		await a?.close();
		const [line = ""] = (await run("--session", "one")).out;
		expect(line).toContain(`owner=${a?.instanceId} term=retired`);
	});
});
