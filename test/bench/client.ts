/** The same client as client.c, for machines without a C compiler; it costs more than the servers it measures. */
import { connect, type Socket } from "node:net";
import { createInterface } from "node:readline";

const DIGITS = 16;
const IN_FLIGHT = 128;
const [port, streams] = process.argv.slice(2).map(Number) as [number, number];
const latencies: number[] = [];
let expected = 0;
let dialled = 0;
let opened = 0;

function scan(text: string): void {
	const now = process.hrtime.bigint();
	for (let at = text.indexOf("~"); at >= 0; at = text.indexOf("~", at + 1)) {
		latencies.push(Number(now - BigInt(text.slice(at + 1, at + 1 + DIGITS))));
	}
	if (expected === 0 || latencies.length < expected) return;
	latencies.sort((a, b) => a - b);
	const at = (share: number) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))];
	console.log(`done ${latencies.length} ${at(0.5)} ${at(0.99)} ${at(1)}`);
	expected = 0;
	latencies.length = 0;
}

function dial(): void {
	const socket: Socket = connect(port, "127.0.0.1");
	socket.setNoDelay(true).setEncoding("latin1");
	socket.write(`GET /${dialled++} HTTP/1.1\r\nHost: bench\r\n\r\n`);
	let isOpen = false;
	let rest = "";
	socket.on("data", (part: string) => {
		if (!isOpen && part.includes("event: cursor")) {
			isOpen = true;
			opened += 1;
			if (opened === streams) console.log("open");
			if (dialled < streams) dial();
		}
		const text = rest + part;
		const marker = text.lastIndexOf("~");
		// A marker whose digits are cut off waits for the rest.
		const isCut = marker >= 0 && text.length - marker <= DIGITS;
		rest = isCut ? text.slice(marker) : "";
		scan(isCut ? text.slice(0, marker) : text);
	});
	socket.on("close", () => {
		console.error("a stream was closed by the server");
		process.exit(1);
	});
}

createInterface({ input: process.stdin })
	.on("line", (line) => {
		expected = Number(line.slice("expect ".length));
		latencies.length = 0;
		console.log("ready");
	})
	.on("close", () => process.exit(0));
for (let n = 0; n < Math.min(streams, IN_FLIGHT); n += 1) dial();
