import fc from "fast-check";
import { expect, test } from "vitest";
import { createChannel } from "../../../lambda/layer/src/core/channel.ts";
import { parseNotification } from "../../../lambda/layer/src/core/message.ts";
import { changeOf, type ServerEvent, SUBSCRIPTION_ID, toNotification } from "../../../lambda/layer/src/mcp/change.ts";
import { announcedSeed } from "../../support/random.ts";

const seed = announcedSeed("mcp/change");

const meta = fc.dictionary(fc.constantFrom("a", "progressToken", SUBSCRIPTION_ID), fc.jsonValue());
const params = fc.record({ _meta: meta, note: fc.string(), n: fc.integer() }, { requiredKeys: [] });
const event: fc.Arbitrary<ServerEvent> = fc
	.record({
		kind: fc.constantFrom("tools_list_changed", "prompts_list_changed", "resources_list_changed", "resource_updated"),
		uri: fc.string(),
		params: fc.option(params, { nil: undefined }),
	})
	.map(({ kind, uri, params: given }) => {
		const named = kind === "resource_updated" ? { kind, uri } : { kind };
		return (given === undefined ? named : { ...named, params: given }) as ServerEvent;
	});

const envelopeOf = (given: ServerEvent) => ({
	...{ v: 1, id: "00000000-0000-7000-8000-000000000000", channel: createChannel("all", "") },
	...{ message: parseNotification(toNotification(given)), publishedAt: 0, origin: "test", lanes: ["local"] },
});

test("an event is itself again after its notification, with params and without", () => {
	fc.assert(
		fc.property(event, (given) => {
			const { params: sent, ...named } = given;
			const isEmpty = sent === undefined || Object.keys(sent).length === 0;
			expect(changeOf(envelopeOf(given))?.event).toEqual(isEmpty ? named : given);
		}),
		{ seed },
	);
});

test("a frame is the notification with its listen's own subscription id, whatever the params say of one", () => {
	fc.assert(
		fc.property(event, fc.string(), (given, subscription) => {
			const frame = changeOf(envelopeOf(given))?.frame(JSON.stringify(subscription)).toString() ?? "";
			const [, data, ...rest] = frame.split("\n");
			expect(rest).toEqual(["", ""]);
			const { method, params: sent = {} } = parseNotification(toNotification(given));
			const _meta = { ...(sent._meta as object | undefined), [SUBSCRIPTION_ID]: subscription };
			const expected = { jsonrpc: "2.0", method, params: { ...sent, _meta } };
			expect(JSON.parse((data ?? "").slice("data: ".length))).toEqual(JSON.parse(JSON.stringify(expected)));
		}),
		{ seed },
	);
});
