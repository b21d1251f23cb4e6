/** The client stream that a ticket's channels ask for. */
import { expect, test } from "vitest";
import { type ChannelKind, createChannel, everyTenantChannel } from "../../../../../lambda/layer/src/core/channel.ts";
import { streamOf } from "../../../../../lambda/layer/src/transports/aws/cell/stream-of.ts";

const claims = (...channels: readonly (readonly [ChannelKind, string, string?])[]) => ({
	namespace: "default",
	tenant: "t",
	channels: channels.map(([kind, id, tenant = "t"]) => createChannel(kind, id, { tenant }).key),
	expiresAt: 0,
	id: "",
});

test("names the session, the principal, every topic, and whether it hears all, of its tenant or of every one", () => {
	const most = claims(["session", "s/1"], ["principal", "p"], ["topic", "a b"], ["topic", "c"], ["all", ""]);
	const every = { ...most, channels: [...most.channels, everyTenantChannel("default").key] };
	expect(streamOf(every)).toEqual({
		tenant: "t",
		session: "s/1",
		principal: "p",
		topics: ["a b", "c"],
		all: true,
		everyTenant: true,
	});
	expect(streamOf(claims(["topic", "c"]))).toEqual({ tenant: "t", topics: ["c"], all: false, everyTenant: false });
});

test("[P5] refuses another tenant's channel, and more sessions than a stream follows", () => {
	expect(() => streamOf(claims(["topic", "c", "other"]))).toThrow(expect.objectContaining({ code: "InvalidChannel" }));
	expect(() => streamOf(claims(["session", "a"], ["session", "b"]))).toThrow(
		expect.objectContaining({ code: "TooManyChannels" }),
	);
});
