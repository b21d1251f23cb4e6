/** The same client as client.c, for machines without a C compiler; it costs more than the servers it measures. */
import { connect, type Socket } from "node:net";
import { createInterface } from "node:readline";

const DIGITS = 16;
const IN_FLIGHT = 128;
const [port, streams] = process.argv.slice(2, 4).map(Number) as [number, number];
const isSocketIo = process.argv[4] === "socket.io";
/** A masked frame of socket.io's connect packet; its mask is zero. */
const CONNECT = Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x34, 0x30]);
const OPENED = isSocketIo ? '40{"sid"' : "event: cursor";
const UPGRADE =
	"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
const latencies: number[] = [];
let expected = 0;
let dialled = 0;
let opened = 0;

function scan(text: string): void {
	const now = process.hrtime.bigint();
	for (let at = text.indexOf("~"); at >= 0; at = text.indexOf("~", at + 1)) {
		const digits = text.slice(at + 1, at + 1 + DIGITS);
		// The length of a WebSocket frame may have the marker's byte.
		if (/^\d+$/.test(digits)) latencies.push(Number(now - BigInt(digits)));
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
	const path = isSocketIo ? `/socket.io/?EIO=4&transport=websocket&n=${dialled++}` : `/${dialled++}`;
	socket.write(`GET ${path} HTTP/1.1\r\nHost: bench\r\n${isSocketIo ? UPGRADE : ""}\r\n`);
	let isGreeted = !isSocketIo;
	let isOpen = false;
	let rest = "";
	socket.on("data", (part: string) => {
		if (!isGreeted && part.includes('"sid"')) {
			isGreeted = true;
			socket.write(CONNECT);
		} else if (!isOpen && part.includes(OPENED)) {
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
