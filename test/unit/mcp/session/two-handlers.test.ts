/** Two session handlers on one fanout: each hears what both are told. */
import { expect, test } from "vitest";
import { createChannel } from "../../../../lambda/layer/src/core/channel.ts";
import type { SessionHost } from "../../../../lambda/layer/src/mcp/session/host.ts";
import { PostLogs, readEventId } from "../../../../lambda/layer/src/mcp/session/post-log.ts";
import { Signs } from "../../../../lambda/layer/src/mcp/session/signs.ts";

const INSTANCE = "01900000-0000-7000-8000-000000000000";

test("a POST stream that runs at one is none of the other's, which would give signs for it", () => {
	const host = { instanceId: INSTANCE, publish: async () => ({ accepted: [] }) } as unknown as SessionHost;
	const [one, other] = [new PostLogs(host, 10), new PostLogs(host, 10)];
	const session = createChannel("session", "s");
	const first = readEventId(one.create(session).begin([1]), session)?.post as string;
	const second = readEventId(other.create(session).begin([2]), session)?.post as string;
	expect([first, second].map((post) => [one.isOpen(post), other.isOpen(post)])).toEqual([
		[true, false],
		[false, true],
	]);
});

test("a sign for one is none for the other", () => {
	const [one, other] = [new Signs(INSTANCE), new Signs(INSTANCE)];
	const seen: string[] = [];
	const { key } = one.expect(() => void seen.push("one"));
	other.expect(() => void seen.push("other"));
	one.give(key);
	other.give(key);
	expect(seen).toEqual(["one"]);
});
