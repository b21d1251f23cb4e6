import { describe, expect, it } from "vitest";
import type { Client } from "../../../../lambda/layer/src/transports/redis/client.ts";
import { checkVersion } from "../../../../lambda/layer/src/transports/redis/server.ts";

const node = (version: string) => ({ info: async () => `# Server\r\nredis_version:${version}\r\nredis_mode:x\r\n` });
const single = (version: string) => node(version) as unknown as Client;
const cluster = (version: string) => ({ isCluster: true, nodes: () => [node(version)] }) as unknown as Client;

describe("a server's version (trap 10)", () => {
	it.each([
		["6.2.0", single],
		["10.0.1", single],
		["7.0.0", cluster],
		["7.2.4", cluster],
	])("%s is one that can be used", async (version, client) => {
		await expect(checkVersion(client(version), "a:1")).resolves.toBeUndefined();
	});

	it.each([
		["6.0.20", single, "6.2"],
		["5.0.14", single, "6.2"],
		["6.2.14", cluster, "7.0"],
		["unknown", single, "6.2"],
	])("%s is refused, with what is needed", async (version, client, least) => {
		await expect(checkVersion(client(version), "a:1")).rejects.toMatchObject({
			code: "ConfigInvalid",
			message: expect.stringContaining(`a:1 is ${version}, at least ${least} is needed`),
		});
	});
});
