/**
 * What routing costs: decisions per second of one core's time with 50 rules (distinct session ids, every tenth message
 * matched by the last rule only), and what a send costs through router, breaker and outbox more than through the
 * publisher of the same transport alone. Both in turns, medians.
 */
import { createChannel } from "../../lambda/layer/src/core/channel.ts";
import { systemClock } from "../../lambda/layer/src/core/clock.ts";
import { type Envelope, sealEnvelope } from "../../lambda/layer/src/core/envelope.ts";
import { createIds } from "../../lambda/layer/src/core/ids.ts";
import { createOutgoing } from "../../lambda/layer/src/outgoing.ts";
import { createPublisher } from "../../lambda/layer/src/publish/publisher.ts";
import type { RoutingRule } from "../../lambda/layer/src/route/options.ts";
import { createRouter } from "../../lambda/layer/src/route/router.ts";
import { createLocalTransport } from "../../lambda/layer/src/transports/local/index.ts";

const RULES = 50;
const SESSIONS = 200_000;
const DECISIONS = 1_000_000;
const SENDS = 20_000;
const ROUNDS = 8;
const TARGET_DECISIONS = 1_000_000;
const TARGET_US = 10;

const median = (values: readonly number[]) => [...values].sort((x, y) => x - y)[values.length >> 1] as number;

function rules(): RoutingRule[] {
	const targets = [["nats"], ["nats", "aws"], ["local", "nats"]];
	return Array.from({ length: RULES }, (_value, index): RoutingRule => {
		const to = targets[index % 3] as string[];
		if (index === RULES - 1) return { condition: "always", targets: ["local"] };
		if (index % 5 === 0) return { condition: { type: `notifications/kind-${index}/*` }, targets: to };
		if (index % 5 === 1) return { condition: { sessionPattern: `*-tail${index}` }, targets: to };
		if (index % 5 === 2) {
			const parts = [{ sessionPattern: `web-${index}-*` }, { type: "notifications/progress" }] as const;
			return { condition: { all: parts }, targets: to, continueOnMatch: true };
		}
		if (index % 5 === 3) return { condition: { sessionPattern: `eu-*-blue-${index}*` }, targets: to };
		return { condition: { sessionPattern: `lambda-${index}-*` }, targets: to };
	});
}

function decisionsPerSecond(): number {
	const targets = [
		{ name: "local", reach: "process" as const },
		{ name: "nats", reach: "fleet" as const },
		{ name: "aws", reach: "global" as const },
	];
	const router = createRouter({ rules: rules() }, targets);
	// Made before the count starts: a decision is measured, not a channel.
	const channels = Array.from({ length: SESSIONS }, (_value, index) => {
		const group = index % 10 === 0 ? "other" : `lambda-${4 + 5 * (index % 9)}`;
		return createChannel("session", `${group}-${index.toString(36)}`);
	});
	const started = process.cpuUsage();
	let lanes = 0;
	for (let at = 0; at < DECISIONS; at += 1) {
		lanes += router.decide(channels[at % SESSIONS] as (typeof channels)[number], "notifications/progress", 10).lanes
			.length;
	}
	if (lanes < DECISIONS) throw new Error("a decision without a lane");
	return DECISIONS / (cpuUs(started) / 1_000_000);
}

/** Microseconds of processor time since then: what others do on the machine is not in it. */
function cpuUs(since: NodeJS.CpuUsage): number {
	const { user, system } = process.cpuUsage(since);
	return user + system;
}

/** Microseconds a send, one after the other. */
async function sendUs(send: (envelope: Envelope) => Promise<unknown>): Promise<number> {
	const ids = createIds(systemClock);
	const channels = Array.from({ length: 100 }, (_value, index) => createChannel("session", `s${index}`));
	const message = { jsonrpc: "2.0" as const, method: "notifications/progress", params: { progress: 1 } };
	const envelopes = Array.from({ length: SENDS }, (_value, index) => {
		const channel = channels[index % channels.length] as (typeof channels)[number];
		return sealEnvelope({ v: 1, id: ids.next(), channel, message, publishedAt: 0, origin: "bench", lanes: ["local"] });
	});
	const started = process.cpuUsage();
	for (const envelope of envelopes) await send(envelope);
	return cpuUs(started) / SENDS;
}

async function extraUs(): Promise<{ readonly alone: number; readonly routed: number }> {
	const alone: number[] = [];
	const routed: number[] = [];
	const deps = { clock: systemClock, random: Math.random, report: () => {} };
	const parts = { clock: systemClock, ids: createIds(systemClock), instanceId: "bench" };
	const sendAlone = async () => {
		const publisher = createPublisher(createLocalTransport({}, parts), deps);
		const us = await sendUs((envelope) => publisher.publish(envelope));
		publisher.close();
		return us;
	};
	const sendRouted = async () => {
		const routing = { rules: [{ condition: "always" as const, targets: ["local"] }] };
		const options = { timeoutMs: 5_000, routing, breaker: {}, priorities: {}, disabled: [] };
		const outgoing = await createOutgoing([createLocalTransport({}, parts)], options, deps);
		const us = await sendUs((envelope) =>
			outgoing.publish(outgoing.decide(envelope.channel, "notifications/progress", 1), envelope, () => {}),
		);
		outgoing.close();
		return us;
	};
	// The first round warms both up; then whoever goes first changes, since the second pays for the first one's garbage.
	for (let round = 0; round <= ROUNDS; round += 1) {
		const first = round % 2 === 0 ? await sendAlone() : await sendRouted();
		const second = round % 2 === 0 ? await sendRouted() : await sendAlone();
		if (round === 0) continue;
		alone.push(round % 2 === 0 ? first : second);
		routed.push(round % 2 === 0 ? second : first);
	}
	return { alone: median(alone), routed: median(routed) };
}

export async function run(): Promise<boolean> {
	const decisions = median(Array.from({ length: ROUNDS }, decisionsPerSecond));
	console.log(
		`decisions with ${RULES} rules, ${SESSIONS} session ids: ${Math.round(decisions)} /s of one core (target ≥ ${TARGET_DECISIONS})`,
	);
	const { alone, routed } = await extraUs();
	console.log(
		`a send: publisher alone ${alone.toFixed(2)} µs, with router, breaker and outbox ${routed.toFixed(2)} µs: ${(routed - alone).toFixed(2)} µs more (target ≤ ${TARGET_US})`,
	);
	return decisions >= TARGET_DECISIONS && routed - alone <= TARGET_US;
}
