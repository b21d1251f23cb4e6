/** A subscribe that races deliver, on real tables: what it is not told, it is posted. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { deliver } from "../../lambda/layer/src/transports/aws/cell/deliver.ts";
import { answerFrame } from "../../lambda/layer/src/transports/aws/cell/frames.ts";
import { decodeServerFrame, encodeClientFrame } from "../../lambda/layer/src/transports/aws/wire.ts";
import { announcedSeed, createRandom } from "../support/random.ts";
import { createMailroom, Inboxes, mail } from "./aws-cell-mailroom.ts";
import { envelopeOf, freshChannel, startWorld, type World } from "./aws-cell-world.ts";

const seed = announcedSeed("aws-cell-race");
let world: World;
beforeAll(async () => {
	world = await startWorld();
});
afterAll(() => world?.stop());

const { portsOf } = createMailroom(() => world);

describe("a subscribe that races deliver", () => {
	it("misses nothing: what is not at or under the told end is posted", async () => {
		const random = createRandom(seed);
		for (let round = 0; round < 12; round += 1) {
			const channel = freshChannel();
			const id = randomUUID();
			await world.connections().open({ id, api: "backend" });
			const meta = await world.connections().meta(id);
			if (meta === undefined) throw new Error("connected");
			const inboxes = new Inboxes();
			const envelopes = Array.from({ length: 6 }, (_, n) => envelopeOf(channel, n));
			const publishing = (async () => {
				for (const envelope of envelopes) await deliver(portsOf(inboxes), mail(channel, [envelope]));
			})();
			await new Promise((resolve) => setTimeout(resolve, random.below(60)));
			const ports = { namespace: "default", clock: world.clock, connections: world.connections(), log: world.log() };
			const more = { home: world.home("us-east-1"), report: () => {}, key: () => Promise.reject(new Error("no key")) };
			const frame = encodeClientFrame({ action: "subscribe", ref: 1, channels: [channel.key] });
			const answer = decodeServerFrame(await answerFrame({ ...ports, ...more }, meta, frame));
			await publishing;
			if (answer.t !== "subscribed") throw new Error(answer.t);
			const end = answer.ends[0]?.[1].offset ?? 0;
			const posted = inboxes.of(id).flatMap((one) => (one.t === "entries" ? one.entries : []));
			const offsets = new Set(posted.map(({ position }) => position.offset));
			for (let offset = end + 1; offset <= 6; offset += 1) {
				expect(offsets.has(offset), `seed ${random.seed}, round ${round}, offset ${offset} after ${end}`).toBe(true);
			}
		}
	});
});
