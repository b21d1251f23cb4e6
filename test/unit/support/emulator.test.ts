import { existsSync } from "node:fs";
import { createServer } from "node:http";
import { afterEach, describe, expect, it, vi } from "vitest";
import { WebSocketServer } from "ws";
import { startEmulator } from "../../support/emulator.ts";
import { createProgress } from "../../support/progress.ts";
import { startSocketFront } from "../../support/socket-front.ts";

const cleanups: (() => unknown)[] = [];

afterEach(async () => {
	vi.unstubAllEnvs();
	for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A WebSocket server that, like the emulator, answers no protocol whatever the client offers, and echoes. */
async function bareServer(answer: string | false): Promise<string> {
	const http = createServer((_request, response) => response.end("plain"));
	const sockets = new WebSocketServer({ server: http, handleProtocols: () => answer });
	sockets.on("connection", (socket) => socket.on("message", (data) => socket.send(String(data))));
	await new Promise<void>((resolve) => http.listen(0, "localhost", resolve));
	cleanups.push(
		() => http.close(),
		() => http.closeAllConnections(),
	);
	return `http://localhost:${(http.address() as { port: number }).port}`;
}

async function echo(url: string, protocols: string[]): Promise<{ protocol: string; said: string }> {
	const socket = new WebSocket(url, protocols);
	cleanups.push(() => socket.close());
	return new Promise((resolve, reject) => {
		socket.onerror = () => reject(new Error("the connection failed"));
		socket.onopen = () => socket.send("x".repeat(100_000));
		socket.onmessage = (event) => resolve({ protocol: socket.protocol, said: String(event.data) });
	});
}

describe("the socket front", () => {
	it("answers the protocol that the emulator leaves unanswered, and passes all else", async () => {
		const target = await bareServer(false);
		await expect(echo(target.replace("http", "ws"), ["mcp-fanout", "ticket.x"])).rejects.toThrow("failed");
		const front = await startSocketFront(target);
		cleanups.push(() => front.close());
		const { protocol, said } = await echo(front.endpoint, ["mcp-fanout", "ticket.x"]);
		expect(protocol).toBe("mcp-fanout");
		expect(said.length).toBe(100_000);
		expect((await echo(front.endpoint, [])).protocol).toBe("");
		expect(await (await fetch(front.endpoint.replace("ws", "http"))).text()).toBe("plain");
	});

	it("adds nothing where the server answers, or where another protocol was offered", async () => {
		const front = await startSocketFront(await bareServer("ticket.x"));
		cleanups.push(() => front.close());
		expect((await echo(front.endpoint, ["mcp-fanout", "ticket.x"])).protocol).toBe("ticket.x");
		const bare = await startSocketFront(await bareServer(false));
		cleanups.push(() => bare.close());
		await expect(echo(bare.endpoint, ["other"])).rejects.toThrow("failed");
	});
});

describe("startEmulator", () => {
	it("starts MiniStack in a clean environment and leaves nothing behind", async () => {
		vi.stubEnv("AWS_ENDPOINT_URL", "");
		vi.stubEnv("A_SECRET_OF_THE_CALLER", "must not reach a Lambda");
		const emulator = await startEmulator(createProgress());
		cleanups.push(() => emulator.stop());
		expect(emulator.started).toBe(true);
		expect(emulator.env).not.toHaveProperty("A_SECRET_OF_THE_CALLER");
		expect((await fetch(`${emulator.endpoint}/_localstack/health`)).status).toBe(200);
		await emulator.stop();
		expect(existsSync(emulator.dir)).toBe(false);
		await expect(fetch(`${emulator.endpoint}/_localstack/health`)).rejects.toThrow();
	}, 300_000);

	it("uses the user's emulator when AWS_ENDPOINT_URL is set, and starts and stops nothing", async () => {
		const http = createServer((_request, response) => response.end("{}"));
		await new Promise<void>((resolve) => http.listen(0, "localhost", resolve));
		cleanups.push(
			() => http.close(),
			() => http.closeAllConnections(),
		);
		const endpoint = `http://localhost:${(http.address() as { port: number }).port}`;
		vi.stubEnv("AWS_ENDPOINT_URL", endpoint);
		vi.stubEnv("AWS_ACCESS_KEY_ID", "theirs");
		const emulator = await startEmulator();
		expect(emulator).toMatchObject({ endpoint, started: false });
		expect(emulator.env).toMatchObject({ AWS_ACCESS_KEY_ID: "theirs", AWS_ENDPOINT_URL: endpoint });
		await emulator.stop();
		expect((await fetch(endpoint)).status).toBe(200);
	});
});
