import * as promClient from "prom-client";
import { afterEach, expect, test } from "vitest";
import { systemClock } from "../../../lambda/layer/src/core/clock.ts";
import { observePrometheus } from "../../../lambda/layer/src/observe/index.ts";
import { openFanout, SECRET, until } from "./support.ts";

const undo: (() => unknown)[] = [];
afterEach(async () => {
	for (const each of undo.splice(0).reverse()) await each();
});

test("what happens is counted and measured, and what stands is read, in Prometheus' own format", async () => {
	const { fanout, read } = await openFanout(undo);
	const registry = new promClient.Registry();
	const stop = observePrometheus(fanout, promClient, registry);
	undo.push(stop);
	await fanout.to({ session: "s1" }).send({ method: "notifications/message", params: { level: "info", data: SECRET } });
	await fanout.to({ topic: "t1" }).send({ method: "notifications/message", params: { level: "info", data: SECRET } });
	await until(() => read.text.includes(SECRET));
	const text = await registry.metrics();
	for (const line of [
		'mcp_fanout_publishes_total{kind="session",outcome="accepted"} 1',
		'mcp_fanout_publishes_total{kind="topic",outcome="accepted"} 1',
		'mcp_fanout_publish_duration_seconds_count{kind="session"} 1',
		'mcp_fanout_deliveries_total{kind="session",replay="false"} 1',
		'mcp_fanout_delivery_delay_seconds_count{kind="session"} 1',
		"mcp_fanout_streams 1",
		"mcp_fanout_sessions 1",
		"mcp_fanout_ready 1",
		'mcp_fanout_breaker_open{lane="local"} 0',
		'mcp_fanout_outbox_envelopes{lane="local"} 0',
		'mcp_fanout_outbox_size_bytes{lane="local"} 0',
		'mcp_fanout_outbox_dropped_total{lane="local"} 0',
	]) {
		expect(text).toContain(`${line}\n`);
	}
	// P10: nothing of a message, and no id, is anywhere.
	expect(text).not.toContain(SECRET);
	expect(text).not.toContain("s1");
	expect(text).not.toContain("t1");
});

test("losses and ends are told by their reasons, errors by their codes", async () => {
	const { fanout, openStream } = await openFanout(undo);
	const registry = new promClient.Registry();
	undo.push(observePrometheus(fanout, promClient, registry));
	const foreign = await openStream({ "last-event-id": "1AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".slice(0, 25) });
	await until(() => foreign.text.includes("event: mark"));
	foreign.leave();
	await until(async () => (await registry.metrics()).includes('mcp_fanout_streams_ended_total{reason="closed"} 1\n'));
	expect(await registry.metrics()).toMatch(/mcp_fanout_losses_total\{reason="(gap|epoch|retention)"\} 1\n/);
});

test("what a stream's filter drops is no delivery, nor is what no listen can ask for", async () => {
	const { fanout, read } = await openFanout(undo);
	const registry = new promClient.Registry();
	undo.push(observePrometheus(fanout, promClient, registry));
	const filter = { methods: ["notifications/progress"] };
	await fanout.response(new Request("http://localhost/"), { session: "s1", filter }).body?.getReader().read();
	undo.push(fanout.bus().subscribe(() => {}));
	const message = { method: "notifications/message", params: { level: "info", data: SECRET } };
	await fanout.to({ session: "s1" }).send(message);
	// The stream without a filter is shown both, and listens the change.
	await fanout.notify.toolsChanged();
	await fanout.to({ all: true }).send(message);
	await until(() => read.text.includes(SECRET));
	expect((await registry.metrics()).match(/mcp_fanout_deliveries_total\{.*/g)).toEqual([
		'mcp_fanout_deliveries_total{kind="session",replay="false"} 1',
		'mcp_fanout_deliveries_total{kind="all",replay="false"} 3',
	]);
});

test("two fanouts have registries of their own, and what is ended leaves nothing behind", async () => {
	const [one, other] = [await openFanout(undo), await openFanout(undo)];
	const [first, second] = [new promClient.Registry(), new promClient.Registry()];
	const stop = observePrometheus(one.fanout, promClient, first);
	undo.push(observePrometheus(other.fanout, promClient, second));
	expect(() => observePrometheus(one.fanout, promClient, first)).toThrow("already been registered");
	stop();
	expect(await first.metrics()).toBe("\n");
	await other.fanout.notify.toolsChanged();
	expect(await second.metrics()).toContain('mcp_fanout_publishes_total{kind="all",outcome="accepted"} 1\n');
	undo.push(observePrometheus(one.fanout, promClient, first));
});

test("a registry that has one of the names already is left as it was", async () => {
	const { fanout } = await openFanout(undo);
	const registry = new promClient.Registry();
	new promClient.Gauge({ name: "mcp_fanout_streams", help: "the application's own", registers: [registry] });
	const before = await registry.metrics();
	expect(() => observePrometheus(fanout, promClient, registry)).toThrow("already been registered");
	expect(await registry.metrics()).toBe(before);
	registry.removeSingleMetric("mcp_fanout_streams");
	undo.push(observePrometheus(fanout, promClient, registry));
});

test("a clock behind the publisher's makes a delay of nothing, not of less", async () => {
	let turnsBack = 0;
	const clock = { ...systemClock, now: () => Date.now() - 60_000 * turnsBack++ };
	const { fanout, read } = await openFanout(undo, { clock });
	const registry = new promClient.Registry();
	undo.push(observePrometheus(fanout, promClient, registry));
	await fanout.to({ session: "s1" }).send({ method: "notifications/message", params: { level: "info", data: SECRET } });
	await until(() => read.text.includes(SECRET));
	expect(await registry.metrics()).toContain('mcp_fanout_delivery_delay_seconds_sum{kind="session"} 0\n');
});
