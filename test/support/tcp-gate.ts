/** A TCP port in front of a server: its target can be changed, connections cut, or made to swallow what goes through. */
import { connect, createServer, type Socket } from "node:net";

export interface GateConnection {
	/** What the client has sent so far, its last bytes. */
	readonly sent: string;
	cut(): void;
	/** From now on nothing comes through, in either direction, and nobody is told. */
	swallow(): void;
	/** Cuts at the server's next answer, which does not come through. */
	loseAnswer(): void;
}

export interface Gate {
	readonly port: number;
	/** Where new connections go. */
	target: number;
	readonly connections: ReadonlySet<GateConnection>;
	close(): Promise<void>;
}

const KEPT = 64 * 1024;

export async function openGate(target: number): Promise<Gate> {
	const connections = new Set<GateConnection>();
	const sockets = new Set<Socket>();
	const server = createServer((client) => {
		const upstream = connect(gate.target, "127.0.0.1");
		let sent = "";
		let isOpen = true;
		let isLosing = false;
		const cut = () => {
			client.destroy();
			upstream.destroy();
		};
		const connection: GateConnection = {
			get sent() {
				return sent;
			},
			cut,
			swallow: () => {
				isOpen = false;
			},
			loseAnswer: () => {
				isLosing = true;
			},
		};
		connections.add(connection);
		for (const socket of [client, upstream]) {
			sockets.add(socket.setNoDelay(true));
			socket.on("error", cut);
			socket.on("close", () => {
				connections.delete(connection);
				sockets.delete(socket);
				if (isOpen) cut();
			});
		}
		client.on("data", (chunk) => {
			sent = (sent + chunk.toString("latin1")).slice(-KEPT);
			if (isOpen) upstream.write(chunk);
		});
		upstream.on("data", (chunk) => {
			if (isLosing) cut();
			else if (isOpen) client.write(chunk);
		});
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const address = server.address();
	if (address === null || typeof address === "string") throw new Error("a TCP server has a port");
	const gate: Gate = {
		port: address.port,
		target,
		connections,
		async close() {
			for (const socket of sockets) socket.destroy();
			await new Promise((resolve) => server.close(resolve));
		},
	};
	return gate;
}
