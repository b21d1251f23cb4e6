import { createMcpHandler, McpServer } from "@modelcontextprotocol/server";
import { expect, test } from "vitest";
import type { Capabilities } from "../../lambda/layer/src/core/transport.ts";
import { createFanout } from "../../lambda/layer/src/fanout.ts";
import { createFleetHandler } from "../../lambda/layer/src/mcp/index.ts";
import { controlTransport } from "../../lambda/layer/src/outgoing.ts";
import { FakeBroker } from "../../lambda/layer/src/testing/fake-broker.ts";
import { createFakeTransport } from "../../lambda/layer/src/testing/fake-transport.ts";
import { createRandom } from "../support/random.ts";

const fake = (name: string, more: Partial<Capabilities>) => {
	const transport = createFakeTransport(new FakeBroker(createRandom(1).next));
	return { ...transport, name, capabilities: { ...transport.capabilities, ...more } };
};

test("control addresses are of the first transport that a fleet shares", () => {
	const [local, nats, aws] = [
		fake("local", { reach: "process" }),
		fake("nats", { reach: "fleet" }),
		fake("aws", { reach: "region" }),
	];
	expect(controlTransport([local, nats, aws])?.name).toBe("nats");
	expect(controlTransport([local, aws, nats])?.name).toBe("aws");
	expect(controlTransport([local])?.name).toBe("local");
	expect(controlTransport([])).toBeUndefined();
});

test("sessions are refused at once where nothing is followed", async () => {
	const build = () => new McpServer({ name: "x", version: "1.0.0" });
	const fanout = await createFanout({ follow: false });
	const mcp = createMcpHandler(build, { bus: fanout.bus() });
	expect(() => createFleetHandler(mcp, { fanout, sessions: build })).toThrow("only publishes");
	await fanout.close();
});
