/** P1: what an outcome says is true, and a refusal leaves nothing behind. */
import assert from "node:assert/strict";
import { createChannel } from "../../../core/channel.ts";
import { encodeEnvelope, envelopeBytes } from "../../../core/envelope.ts";
import {
	endOf,
	envelopeOf,
	insist,
	never,
	numbersOf,
	offer,
	onBench,
	readAll,
	send,
	settled,
	sized,
	upTo,
} from "../bench.ts";
import { defineCase } from "../harness.ts";

export const acceptanceCases = [
	defineCase(
		"accept-outcome",
		["P1"],
		"an acceptance names its reach and durability, and its position if it says so",
		(harness) =>
			onBench(harness, async (bench) => {
				const { transport } = bench;
				const channel = bench.channel("a");
				const batch = [1, 2, 3].map((n) => envelopeOf(transport, channel, n));
				const outcomes = await offer(transport, channel, batch);
				assert.equal(outcomes.length, 3);
				const entries = await settled(bench, channel, 3);
				for (const [index, outcome] of outcomes.entries()) {
					assert.ok(outcome.ok);
					assert.ok(["memory", "replicated", "disk"].includes(outcome.durability));
					assert.ok(["process", "fleet", "region", "global"].includes(outcome.reach));
					if (transport.capabilities.positionAtAccept) {
						assert.equal(outcome.duplicate, false);
						assert.deepEqual(outcome.position, entries[index]?.position);
					}
				}
			}),
	),
	defineCase("accept-content", ["P1"], "what is read is what was published, field by field", (harness) =>
		onBench(harness, async (bench) => {
			const { transport } = bench;
			const channel = bench.channel("a");
			const content = {
				text: 'grüße 日本語 🎉 \u0000 \u2028 \\ " </script>',
				deep: { a: [1, -0.5, 1e21, true, null, { b: [] }] },
				__proto__key: "constructor",
				empty: {},
			};
			const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
			const envelope = { ...envelopeOf(transport, channel, 1, content), trace, lanes: [transport.name, "other"] };
			const expected = JSON.parse(encodeEnvelope(envelope));
			await insist(transport, channel, [envelope]);
			const [entry] = await settled(bench, channel, 1);
			assert.ok(entry?.envelope);
			assert.deepEqual(JSON.parse(encodeEnvelope({ ...entry.envelope })), expected);
		}),
	),
	defineCase(
		"accept-largest",
		["P1", "P6"],
		"the largest payload that is stated is taken, and one byte more is refused",
		(harness) =>
			onBench(harness, async (bench) => {
				const { transport } = bench;
				const { maxPayloadBytes } = transport.capabilities;
				const channel = bench.channel("a");
				const good = sized(transport, channel, 1, maxPayloadBytes);
				assert.equal(envelopeBytes(good), maxPayloadBytes);
				const [accepted] = await offer(transport, channel, [good]);
				assert.ok(accepted?.ok, accepted?.ok === false ? accepted.error.message : "no outcome");
				const [entry] = await settled(bench, channel, 1);
				assert.deepEqual(entry?.envelope?.message, good.message);
				const [refused] = await offer(transport, channel, [sized(transport, channel, 2, maxPayloadBytes + 1)]);
				assert.ok(refused && !refused.ok, "one byte over is refused");
				assert.equal(refused.uncertain, false);
				assert.equal(refused.error.code, "PayloadTooLarge");
				const figures = Object.values(refused.error.data);
				assert.ok(figures.includes(maxPayloadBytes + 1) && figures.includes(maxPayloadBytes), "with both sizes");
			}),
	),
	defineCase(
		"accept-prefix",
		["P1", "P2"],
		"a batch succeeds as a prefix: after a refusal nothing of it is taken",
		(harness) =>
			onBench(harness, async (bench) => {
				const { transport } = bench;
				const channel = bench.channel("a");
				const tooLarge = sized(transport, channel, 2, transport.capabilities.maxPayloadBytes + 1);
				const outcomes = await offer(transport, channel, [
					envelopeOf(transport, channel, 1),
					tooLarge,
					envelopeOf(transport, channel, 3),
				]);
				assert.equal(outcomes.length, 3);
				const refusedAt = outcomes.findIndex(({ ok }) => !ok);
				assert.ok(refusedAt === 0 || refusedAt === 1, "the refused one at the latest");
				assert.ok(outcomes.slice(refusedAt).every((outcome) => !outcome.ok && !outcome.uncertain));
				await send(transport, channel, 9);
				const expected = [...upTo(refusedAt), 9];
				assert.deepEqual(numbersOf(await settled(bench, channel, expected.length)), expected);
			}),
	),
	defineCase(
		"accept-aborted",
		["P1", "P7"],
		"a call whose signal was aborted is not accepted, and asks nothing",
		(harness) =>
			onBench(harness, async (bench) => {
				const { transport } = bench;
				const channel = bench.channel("a");
				const aborted = AbortSignal.abort(new Error("the caller has gone"));
				const envelope = envelopeOf(transport, channel, 1);
				const outcomes = await transport.publish(channel, [envelope], { mayExist: false }, aborted).catch(() => []);
				assert.ok(outcomes.every(({ ok }) => !ok));
				await assert.rejects(transport.ends([channel], aborted));
				const from = await endOf(transport, channel);
				await assert.rejects(async () => {
					for await (const _page of transport.read([{ channel, from, limit: 1 }], aborted)) break;
				});
				await send(transport, channel, 2);
				assert.deepEqual(numbersOf(await settled(bench, channel, 1)), [2]);
			}),
	),
	defineCase("accept-duplicate", ["P4"], "an id that the log holds is not logged again, whoever offers it", (harness) =>
		onBench(harness, async (bench) => {
			const { transport } = bench;
			const channel = bench.channel("a");
			const [first] = await send(transport, channel, 1);
			assert.ok(first);
			const [logged] = await settled(bench, channel, 1);
			const again = await transport.publish(channel, [first], { mayExist: true }, never);
			assert.ok(again[0]?.ok, "a re-offer is accepted: the envelope is in the log");
			if (transport.capabilities.positionAtAccept) {
				assert.equal(again[0].duplicate, true);
				assert.deepEqual(again[0].position, logged?.position);
			}
			await send(transport, channel, 2);
			await settled(bench, channel, 2);
			assert.deepEqual(numbersOf((await readAll(transport, channel)).entries), [1, 2]);
		}),
	),
	defineCase(
		"accept-unstarted",
		["P7"],
		"before its start it takes an envelope, or refuses it for now",
		async (harness) => {
			const transport = await harness.createTransport();
			const { kind = "topic", onlyNamespace: namespace = harness.namespace() } = harness;
			const channel = createChannel(kind, kind === "all" ? "" : "unstarted", { namespace });
			try {
				const [outcome] = await offer(transport, channel, [envelopeOf(transport, channel, 1)]);
				assert.ok(outcome?.ok || outcome?.error.retryable, "what waits in an outbox would be given up");
				assert.ok(outcome.ok || !outcome.uncertain, "what was not sent is not in doubt");
			} finally {
				await transport.close();
			}
		},
	),
	defineCase("accept-same-id", ["P4", "P5"], "the same id on another channel is another event", (harness) =>
		onBench(harness, async (bench) => {
			const { transport } = bench;
			const channel = bench.channel("a");
			const other = bench.channel("b");
			const [envelope] = await send(transport, channel, 1);
			assert.ok(envelope);
			await insist(transport, other, [{ ...envelope, channel: other }]);
			assert.deepEqual(numbersOf(await settled(bench, other, 1)), [1]);
		}),
	),
];
