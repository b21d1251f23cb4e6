/** Resumes and reconnects on a real log: one after the other, a thousand at once, ten thousand channels after a cut. */
import { type Channel, createChannel } from "../../lambda/layer/src/core/channel.ts";
import type { Feed, Sink } from "../../lambda/layer/src/core/client-feed.ts";
import { systemClock } from "../../lambda/layer/src/core/clock.ts";
import { encodeLane, laneTag, NO_LANES, placeCode } from "../../lambda/layer/src/core/cursor.ts";
import type { Envelope } from "../../lambda/layer/src/core/envelope.ts";
import { createIds } from "../../lambda/layer/src/core/ids.ts";
import type { Position } from "../../lambda/layer/src/core/position.ts";
import type { Transport } from "../../lambda/layer/src/core/transport.ts";
import { createEngine, type Engine } from "../../lambda/layer/src/deliver/engine.ts";
import { openFeed } from "../../lambda/layer/src/deliver/feed.ts";
import { createPublisher } from "../../lambda/layer/src/publish/publisher.ts";

export const ids = createIds(systemClock);
const random = () => ids.random32() / 2 ** 32;
const report = () => {};
const AT_ONCE = 2_000;
/** Resumes in a process whose code has not run yet are a figure of their own. */
const COLD = 100;
/** Goals where no session missed more than so many; what more costs is printed. */
const MOST_MISSED = 10;
const MOST_ONE_P99_MS = 5;
const MOST_THOUSAND_MS = 2_000;
const MOST_RECONNECT_MS = 3_000;

export interface Figures {
	readonly publishedPerSecond: number;
	/** Milliseconds, from opening a stream to the last event that it missed. */
	readonly oneP50: number;
	readonly oneP99: number;
	/** The first hundred of the process. */
	readonly coldP99: number;
	readonly thousandMs: number;
	/** Milliseconds from the cut until every channel has what was published meanwhile. */
	readonly reconnectMs: number;
}

export interface Plan {
	/** Another instance, not started. */
	create(): Transport;
	/** Cuts the last instance that was created. */
	cut(): Promise<void>;
	readonly sessions: number;
	/** Events for each session after the point from which it resumes. */
	readonly missed: number;
	readonly single: number;
	readonly together: number;
}

function envelopeOf(channel: Channel, lane: string): Envelope {
	const params = { level: "info", data: { text: "x".repeat(100) } };
	const message = { jsonrpc: "2.0", method: "notifications/message", params } as const;
	return { v: 1, id: ids.next(), channel, message, publishedAt: Date.now(), origin: "bench", lanes: [lane] };
}

/** Opens a stream at a cursor; resolves when it has shown so many events. */
function resume(engine: Engine, channel: Channel, cursor: string | undefined, events: number) {
	let shown = 0;
	const whole = Promise.withResolvers<void>();
	const sink: Sink = {
		deliver() {
			shown += 1;
			if (shown === events) whole.resolve();
		},
		mark: (reason) => console.log(`a stream was told ${reason}`),
		cursor() {},
		end: (reason) => console.log(`a stream ended: ${reason}`),
	};
	const feed: Feed = openFeed({ engines: [engine], clock: systemClock, report }, { channels: [channel], cursor }, sink);
	return { whole: whole.promise, feed };
}

export async function measureResumes(plan: Plan): Promise<Figures> {
	const { sessions, missed } = plan;
	const started: { transport: Transport; engine: Engine }[] = [];
	const start = async (): Promise<Engine> => {
		const transport = plan.create();
		await transport.start({ report }, AbortSignal.timeout(10_000));
		const engine = createEngine(transport, { clock: systemClock, random, report });
		started.push({ transport, engine });
		return engine;
	};
	const { transport: writer } = await start();
	const publisher = createPublisher(writer, { clock: systemClock, random });
	const channels = Array.from({ length: sessions }, (_, n) => createChannel("session", `session-${n}`));
	const publishAll = async (): Promise<Position[]> => {
		const positions: Position[] = [];
		for (let at = 0; at < channels.length; at += AT_ONCE) {
			const some = channels.slice(at, at + AT_ONCE).map((channel) => envelopeOf(channel, writer.name));
			for (const outcome of await Promise.all(some.map((envelope) => publisher.publish(envelope)))) {
				if (!outcome.ok || outcome.position === undefined) throw new Error("a publish was refused");
				positions.push(outcome.position);
			}
		}
		return positions;
	};
	const place = placeCode(writer.place);
	const cursors = (await publishAll()).map(
		(position, n) => NO_LANES + encodeLane(laneTag(channels[n] as Channel), place, position),
	);
	const publishedFrom = performance.now();
	for (let n = 0; n < missed; n += 1) await publishAll();
	const publishedPerSecond = (sessions * missed) / ((performance.now() - publishedFrom) / 1000);

	const reader = await start();
	const [took, cold]: [number[], number[]] = [[], []];
	for (let n = 0; n < COLD + plan.single; n += 1) {
		const at = (n * 7919) % sessions;
		const from = performance.now();
		const { whole, feed } = resume(reader, channels[at] as Channel, cursors[at], missed);
		await whole;
		(n < COLD ? cold : took).push(performance.now() - from);
		feed.close();
	}

	const other = await start();
	const thousandFrom = performance.now();
	const streams = channels.slice(0, plan.together).map((channel, n) => resume(other, channel, cursors[n], missed));
	await Promise.all(streams.map(({ whole }) => whole));
	const thousandMs = performance.now() - thousandFrom;
	for (const { feed } of streams) feed.close();

	const follower = await start();
	const following = channels.map((channel) => resume(follower, channel, undefined, 1));
	await Promise.all(following.map(({ feed }) => feed.opened));
	const cutAt = performance.now();
	await plan.cut();
	await publishAll();
	await Promise.all(following.map(({ whole }) => whole));
	const reconnectMs = performance.now() - cutAt;
	for (const { feed } of following) feed.close();

	publisher.close();
	for (const { engine, transport } of started) {
		engine.close();
		await transport.close();
	}
	const at = (all: readonly number[], share: number) =>
		all.toSorted((a, b) => a - b)[Math.min(all.length - 1, Math.floor(all.length * share))] ?? Number.NaN;
	const [oneP50, oneP99, coldP99] = [at(took, 0.5), at(took, 0.99), at(cold, 0.99)];
	return { publishedPerSecond, oneP50, oneP99, coldP99, thousandMs, reconnectMs };
}

function judge(what: string, ms: number, most: number | undefined): boolean {
	const goal = most === undefined ? "" : ` (at most ${most})${ms <= most ? "" : " missed"}`;
	console.log(`${what}: ${ms.toFixed(1)} ms${goal}`);
	return most === undefined || ms <= most;
}

/** Prints them; false when a goal is missed. */
export function judgeResumes(figures: Figures, { sessions, missed }: Pick<Plan, "sessions" | "missed">): boolean {
	const most = (ms: number) => (missed <= MOST_MISSED ? ms : undefined);
	const events = `${missed} missed among ${sessions * missed}`;
	console.log(`published over ${sessions} channels: ${Math.round(figures.publishedPerSecond)}/s acknowledged`);
	judge(`one session resumes, ${events}, p50`, figures.oneP50, undefined);
	judge("the first hundred of the process, p99", figures.coldP99, undefined);
	const one = judge(`one session resumes, ${events}, p99`, figures.oneP99, most(MOST_ONE_P99_MS));
	const all = judge(`1000 at once, ${events}, all whole`, figures.thousandMs, most(MOST_THOUSAND_MS));
	const again = judge(`cut, ${sessions} channels, all whole`, figures.reconnectMs, MOST_RECONNECT_MS);
	return one && all && again;
}
