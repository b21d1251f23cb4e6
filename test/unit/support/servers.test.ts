import { connect } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { type Broker, startNats, startValkey } from "../../support/broker.ts";
import { createProgress } from "../../support/progress.ts";

const progress = createProgress();
const brokers: Broker[] = [];

afterEach(async () => {
	await Promise.all(brokers.splice(0).map((broker) => broker.stop()));
});

/** Sends a line, resolves with the first thing that the server says after it that holds `until`. */
function talk(broker: Broker, line: string, until: string): Promise<string> {
	return new Promise((resolve, reject) => {
		let heard = "";
		const socket = connect(broker.port, broker.host, () => socket.write(line));
		socket.on("error", reject);
		socket.on("close", () => reject(new Error(`closed after: ${heard}`)));
		socket.on("data", (chunk) => {
			heard += chunk;
			if (!heard.includes(until)) return;
			resolve(heard);
			socket.destroy();
		});
	});
}

function refuses(broker: Broker): Promise<boolean> {
	return new Promise((resolve) => {
		const socket = connect(broker.port, broker.host, () => {
			socket.destroy();
			resolve(false);
		});
		socket.on("error", () => resolve(true));
	});
}

describe("the brokers of test/support", () => {
	it("start NATS with JetStream, which answers, and leave nothing behind", async () => {
		const broker = await startNats(progress);
		brokers.push(broker);
		expect(await talk(broker, 'CONNECT {"verbose":false}\r\nPING\r\n', "PONG")).toContain('"jetstream":true');
		await broker.stop();
		expect(await refuses(broker)).toBe(true);
	}, 300_000);

	it("start Valkey, which answers, and leave nothing behind", async () => {
		const broker = await startValkey(progress);
		brokers.push(broker);
		expect(await talk(broker, "PING\r\n", "PONG")).toContain("+PONG");
		await broker.stop();
		expect(await refuses(broker)).toBe(true);
	}, 300_000);
});
