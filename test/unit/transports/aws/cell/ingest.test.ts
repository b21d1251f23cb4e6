/** Events from rules: hostile input becomes one validated envelope or a refusal. */
import { describe, expect, it } from "vitest";
import { createChannel } from "../../../../../lambda/layer/src/core/channel.ts";
import { systemClock } from "../../../../../lambda/layer/src/core/clock.ts";
import { decodeEnvelope, encodeEnvelope } from "../../../../../lambda/layer/src/core/envelope.ts";
import { readEvent } from "../../../../../lambda/layer/src/transports/aws/cell/ingest.ts";

const context = { namespace: "ns", origin: "eventbridge", clock: systemClock };
const event = {
	id: "17793124-05d4-b198-2fde-7ededc63b103",
	source: "aws.s3",
	time: "2026-11-24T00:00:00Z",
	to: { topic: "docs" },
	method: "notifications/resources/updated",
	params: { uri: "docs://handbook", detail: { key: 'a","evil":"1' } },
};

describe("an event", () => {
	it("becomes an envelope that every reader takes, with its content as it was", () => {
		const envelope = readEvent(event, context);
		expect(decodeEnvelope(encodeEnvelope(envelope))).toEqual(envelope);
		expect(envelope.channel).toEqual(createChannel("topic", "docs", { namespace: "ns" }));
		expect(envelope.message).toEqual({ jsonrpc: "2.0", method: event.method, params: event.params });
	});

	it("has the same id in every retry, and another for another event or target", () => {
		const id = (more: object) => readEvent({ ...event, ...more }, context).id;
		expect(id({})).toBe(id({ time: "later" }));
		expect(new Set([id({}), id({ id: "2" }), id({ to: { topic: "other" } }), id({ to: { all: true } })]).size).toBe(4);
	});

	it.each([
		[{ to: { session: "s" } }, "ns/default/session:s"],
		[{ to: { principal: "p/../q" } }, "ns/default/principal:p%2F..%2Fq"],
		[{ to: { all: true } }, "ns/default/all:"],
		[{ to: { all: true, tenant: "acme" } }, "ns/acme/all:"],
	])("to %j goes to %s", (more, key) => {
		expect(readEvent({ ...event, ...more }, context).channel.key).toBe(key);
	});

	it.each([null, undefined, ""])("with params %j has none", (params) => {
		expect(readEvent({ ...event, params }, context).message).toEqual({ jsonrpc: "2.0", method: event.method });
	});

	it.each([
		["no object", "text", "InvalidMessage"],
		["a list", [event], "InvalidMessage"],
		["no id", { ...event, id: undefined }, "InvalidMessage"],
		["an empty id", { ...event, id: "" }, "InvalidMessage"],
		["no target", { ...event, to: {} }, "InvalidMessage"],
		["a target that is text", { ...event, to: "all" }, "InvalidMessage"],
		["two targets", { ...event, to: { topic: "a", all: true } }, "InvalidMessage"],
		["all that is not true", { ...event, to: { all: "yes" } }, "InvalidMessage"],
		["a topic that is no text", { ...event, to: { topic: { id: 1 } } }, "InvalidChannel"],
		["an empty topic", { ...event, to: { topic: "" } }, "InvalidChannel"],
		["a tenant that is no text", { ...event, to: { topic: "a", tenant: 7 } }, "InvalidMessage"],
		["a method that is a request's", { ...event, method: "tools/call" }, "InvalidMessage"],
		["no method", { ...event, method: undefined }, "InvalidMessage"],
		["params that are a list", { ...event, params: [1] }, "InvalidMessage"],
		["params that are too large", { ...event, params: { x: "x".repeat(130_000) } }, "PayloadTooLarge"],
	])("with %s is refused", (_name, value, code) => {
		expect(() => readEvent(value, context)).toThrow(expect.objectContaining({ code }));
	});
});
