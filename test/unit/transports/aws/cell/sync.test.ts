/** Sync against its function's time, on a clock that the test moves: a session that left much behind, far away. */
import { expect, it } from "vitest";
import { createChannel } from "../../../../../lambda/layer/src/core/channel.ts";
import { pause } from "../../../../../lambda/layer/src/core/clock.ts";
import { BEGINNING } from "../../../../../lambda/layer/src/core/position.ts";
import { createFakeClock } from "../../../../../lambda/layer/src/testing/fake-clock.ts";
import { createPostRound } from "../../../../../lambda/layer/src/transports/aws/cell/round.ts";
import { type SyncPorts, sync } from "../../../../../lambda/layer/src/transports/aws/cell/sync.ts";

const TIMEOUT_MS = 30_000;
/** To a mailbox across an ocean and back. */
const SEND_MS = 150;
const session = (id: string) => createChannel("session", id).key;
const recordOf = (id: string) => ({ sequence: id, session: session(id), region: "eu-west-1", counter: 1, at: 0 });

it("ends before its function's timeout, and says whose record must come again: what was done before it is done", async () => {
	const clock = createFakeClock();
	const rows: Readonly<Record<string, number>> = { [session("a")]: 10, [session("b")]: 1_000, [session("c")]: 1 };
	const sent: string[] = [];
	const ports: SyncPorts = {
		region: "us-east-1",
		clock,
		random: () => 0.1,
		round: createPostRound(clock, TIMEOUT_MS),
		report: () => {},
		poster: { post: async () => {}, close: async () => {} },
		connections: { of: async () => ({ followers: [], shards: [] }), unfollow: async () => {}, remove: async () => {} },
		home: { look: async () => ({ region: "eu-west-1", counter: 1, expiresAt: 0, ownCounter: 0 }) },
		log: {
			rows: async (key) => ({
				entries: Array.from({ length: rows[key] ?? 0 }, (_, offset) => ({
					position: { epoch: "0000abcd", offset: offset + 1 },
					prev: BEGINNING,
					text: `${key} ${offset}`,
				})),
				more: false,
				verdict: "whole",
			}),
		},
		async sendTo(_region, messages) {
			await pause(clock, SEND_MS);
			sent.push(...messages.map(({ MessageBody }) => MessageBody));
			return [];
		},
	};
	let result: Awaited<ReturnType<typeof sync>> | undefined;
	sync(ports, ["a", "b", "c"].map(recordOf)).then((answer) => {
		result = answer;
	});
	await clock.advance(TIMEOUT_MS - 1_000);
	expect(result).toEqual({ failed: "b", evicted: 0 });
	const before = sent.length;
	expect(sent.slice(0, 10)).toEqual(Array.from({ length: 10 }, (_, offset) => `${session("a")} ${offset}`));
	await clock.advance(TIMEOUT_MS);
	// At most what was on its way: a container that thaws sends nothing that the next try has sent before it.
	expect([sent.length - before <= 1, clock.waiting]).toEqual([true, 0]);
});
