/**
 * `npm run bench -- outage [seconds]` (70; under 40 the outage and the breaker's pause are shorter): progress
 * notifications at a steady rate to sessions here and in another process's place, while NATS is killed and comes back.
 * Shows what a publisher waits, what a local stream's longest pause is, and whether everyone got everything in order
 * and once.
 */
import { subscribe } from "node:diagnostics_channel";
import { setTimeout as sleep } from "node:timers/promises";
import { createFanout, type Fanout } from "../../lambda/layer/src/fanout.ts";
import { startNatsServers } from "../support/nats.ts";

const RATE = 1_000;
const SESSIONS = 20;
const TIMEOUT_MS = 5_000;
const TICK_MS = 10;
const MAX_OPEN_P99_MS = 2;
const MAX_PAUSE_MS = 100;

interface Listener {
	/** By session: the numbers in the order in which they came. */
	readonly seen: Map<string, number[]>;
	/** When something came, of any session. */
	readonly at: number[];
	marks: number;
}

function listen(fanout: Fanout, sessions: readonly string[]): Listener {
	const heard: Listener = { seen: new Map(), at: [], marks: 0 };
	for (const session of sessions) {
		const numbers: number[] = [];
		heard.seen.set(session, numbers);
		const { body } = fanout.response(new Request("http://localhost/"), { session });
		const read = async () => {
			const decoder = new TextDecoder();
			let rest = "";
			for await (const chunk of body ?? []) {
				const text = rest + decoder.decode(chunk, { stream: true });
				const cut = text.lastIndexOf("\n\n") + 2;
				rest = text.slice(cut);
				for (const [, n] of text.slice(0, cut).matchAll(/"n":(\d+)/g)) numbers.push(Number(n));
				if (/^event: mark$/m.test(text)) heard.marks += 1;
				heard.at.push(performance.now());
			}
		};
		read().catch(() => {});
	}
	return heard;
}

const p99 = (values: readonly number[]) => [...values].sort((x, y) => x - y)[Math.floor(values.length * 0.99)] ?? 0;

export async function run([given = "70"]: readonly string[]): Promise<boolean> {
	const seconds = Number(given);
	const isShort = seconds < 40;
	const downAt = isShort ? 2_000 : 5_000;
	const upAt = isShort ? 10_000 : 25_000;
	const servers = await startNatsServers(1);
	const nats = { servers: servers.urls, storage: "file" as const };
	const here = await createFanout({
		local: {},
		nats,
		timeoutMs: TIMEOUT_MS,
		...(isShort && { breaker: { openMs: 4_000 } }),
		routing: { rules: [{ condition: { type: "notifications/progress" }, targets: ["local", "nats"] }] },
	});
	const there = await createFanout({ local: {}, nats });
	let openAt = Number.POSITIVE_INFINITY;
	let closedAt = Number.POSITIVE_INFINITY;
	const started = performance.now();
	subscribe("mcp-fanout:breaker", (event) => {
		const { lane, state } = event as { lane: string; state: string };
		const at = performance.now() - started;
		console.log(`${(at / 1_000).toFixed(2)} s: breaker of ${lane} ${state}`);
		if (state === "open") openAt = Math.min(openAt, at);
		if (state === "closed") closedAt = at;
	});
	try {
		const sessions = Array.from({ length: SESSIONS }, (_value, index) => `s${index}`);
		const local = listen(here, sessions);
		const remote = listen(there, sessions);
		await sleep(500);
		const sends: { readonly at: number; ms: number; is: "accepted" | "queued" | "failed" }[] = [];
		const stalls: { readonly at: number; readonly ms: number }[] = [];
		let down = false;
		let up = false;
		const begun = performance.now();
		let n = 0;
		while (performance.now() - begun < seconds * 1_000) {
			const now = performance.now() - begun;
			if (!down && now > downAt) {
				down = true;
				servers.nodes[0]?.kill();
			}
			if (!up && now > upAt) {
				up = true;
				servers.nodes[0]?.start();
			}
			for (; n < (now * RATE) / 1_000; n += 1) {
				const session = sessions[n % SESSIONS] as string;
				const fact = { at: performance.now() - started, ms: 0, is: "failed" as "accepted" | "queued" | "failed" };
				sends.push(fact);
				const since = performance.now();
				here
					.to({ session })
					.send({ method: "notifications/progress", params: { n } })
					.then(
						({ accepted }) => {
							fact.is = accepted.length > 0 ? "accepted" : "queued";
						},
						() => {},
					)
					.finally(() => {
						fact.ms = performance.now() - since;
					});
			}
			const before = performance.now();
			await sleep(TICK_MS);
			stalls.push({ at: before - started, ms: performance.now() - before - TICK_MS });
		}
		const ended = performance.now() - started;
		await here.flush();
		await sleep(2_000);
		const count = (is: string) => sends.filter((fact) => fact.is === is).length;
		const open = sends.filter(({ at }) => at > openAt && at < closedAt).map(({ ms }) => ms);
		const pauses = local.at.map((at, index) => ({ at: at - started, ms: at - (local.at[index - 1] ?? at) }));
		const counted = pauses.filter(({ at }) => at > openAt + MAX_PAUSE_MS && at < ended);
		const longest = counted.reduce((most, one) => (one.ms > most.ms ? one : most), { at: 0, ms: 0 });
		console.log(
			`${sends.length} sends: ${count("accepted")} accepted, ${count("queued")} queued, ${count("failed")} failed`,
		);
		console.log(
			`longest send ${Math.max(...sends.map(({ ms }) => ms)).toFixed(0)} ms (≤ ${TIMEOUT_MS}); while open p99 ${p99(open).toFixed(2)} ms of ${open.length} (≤ ${MAX_OPEN_P99_MS})`,
		);
		const stalled = Math.max(0, ...stalls.filter(({ at }) => at > openAt && at < ended).map(({ ms }) => ms));
		console.log(
			`longest pause of local streams once open: ${longest.ms.toFixed(0)} ms until ${(longest.at / 1_000).toFixed(2)} s (≤ ${MAX_PAUSE_MS}), of the event loop ${stalled.toFixed(0)} ms`,
		);
		const wrong = (heard: Listener, mustBeInOrder: boolean): string => {
			let missing = 0;
			let twice = 0;
			let disordered = 0;
			for (const [index, session] of sessions.entries()) {
				const numbers = heard.seen.get(session) ?? [];
				const set = new Set(numbers);
				twice += numbers.length - set.size;
				for (let at = index; at < n; at += SESSIONS) if (sends[at]?.is !== "failed" && !set.has(at)) missing += 1;
				disordered += numbers.filter((number, at) => at > 0 && number < (numbers[at - 1] as number)).length;
			}
			return `${missing} missing, ${twice} twice, ${mustBeInOrder ? disordered : 0} out of order, ${heard.marks} marks`;
		};
		console.log(`remote: ${wrong(remote, true)}`);
		console.log(`local: ${wrong(local, false)}`);
		console.log(JSON.stringify(here.health().targets));
		const clean = "0 missing, 0 twice, 0 out of order, 0 marks";
		return (
			wrong(remote, true) === clean &&
			wrong(local, false) === clean &&
			p99(open) <= MAX_OPEN_P99_MS &&
			longest.ms <= MAX_PAUSE_MS
		);
	} finally {
		await Promise.all([here.close(), there.close()]);
		await servers.stop();
	}
}
