/** The AWS library is loaded late or not at all, its absence is told helpfully, and socket addresses are signed whole. */
import { execFileSync } from "node:child_process";
import { createHash, createHmac } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { GetQueueUrlCommand, ListQueuesCommand } from "@aws-sdk/client-sqs";
import { buildSync } from "esbuild";
import { describe, expect, it } from "vitest";
import { createAwsClients } from "../../../../lambda/layer/src/transports/aws/sdk.ts";

const ROOT = join(import.meta.dirname, "..", "..", "..", "..");
const SRC = join(ROOT, "lambda", "layer", "src", "transports", "aws");

function run(script: string, env: Record<string, string> = {}): string {
	const args = ["--conditions=mcp-fanout-source", "--input-type=module", "--eval", script];
	return execFileSync(process.execPath, args, { cwd: tmpdir(), env, encoding: "utf8" }).trim();
}

describe("the AWS library", () => {
	it("is not loaded by importing the transport or making clients, and is by the first use of one", () => {
		const script = `
			import { createRequire } from "node:module";
			const loaded = () => Object.keys(createRequire(import.meta.url).cache).filter((path) => /@aws-sdk|@smithy/.test(path)).length;
			await import(${JSON.stringify(pathToFileURL(join(SRC, "index.ts")).href)});
			const { createAwsClients } = await import(${JSON.stringify(pathToFileURL(join(SRC, "sdk.ts")).href)});
			const clients = createAwsClients({ region: "us-east-1" });
			const before = loaded();
			clients.sqs();
			console.log(before, loaded() > 0);
			clients.close();`;
		expect(run(script)).toBe("0 true");
	});

	it("rests: idle sockets are closed, one in use is not, and the next call opens another", async () => {
		const open = new Set<Socket>();
		const waiting = Promise.withResolvers<ServerResponse>();
		const server = createServer((req, res) => {
			const isSlow = String(req.headers["x-amz-target"]).endsWith("ListQueues");
			if (isSlow) waiting.resolve(res);
			else res.end('{"QueueUrl":"http://localhost/q"}');
		});
		server.on("connection", (socket) => {
			open.add(socket);
			socket.on("close", () => open.delete(socket));
		});
		await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
		const endpoint = `http://localhost:${(server.address() as AddressInfo).port}`;
		const credentials = { accessKeyId: "a", secretAccessKey: "b" };
		const clients = createAwsClients({ region: "us-east-1", endpoint, credentials });
		const ask = () => clients.sqs().send(new GetQueueUrlCommand({ QueueName: "q" }));
		try {
			await ask();
			expect(open.size).toBe(1);
			const slow = clients.sqs().send(new ListQueuesCommand({}));
			const answer = await waiting.promise;
			await ask();
			expect(open.size).toBe(2);
			clients.rest();
			await expect.poll(() => open.size).toBe(1);
			answer.end('{"QueueUrls":[]}');
			await slow;
			await ask();
			clients.rest();
			await expect.poll(() => open.size).toBe(0);
			await ask();
		} finally {
			clients.close();
			server.close();
		}
	});

	it("lets go of a call that is not answered in time: a connection may have died unseen [P7]", async () => {
		const server = createServer(() => undefined);
		await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
		const endpoint = `http://localhost:${(server.address() as AddressInfo).port}`;
		const credentials = { accessKeyId: "a", secretAccessKey: "b" };
		const clients = createAwsClients({ region: "us-east-1", endpoint, credentials, sendAttempts: 1 });
		const outcomes: unknown[] = [];
		try {
			const ask = clients.sqs().send(new GetQueueUrlCommand({ QueueName: "q" }));
			ask.catch((error: Error) => outcomes.push(error.name));
			await expect.poll(() => outcomes, { timeout: 20_000 }).toEqual(["TimeoutError"]);
		} finally {
			clients.close();
			server.closeAllConnections();
			server.close();
		}
	}, 30_000);

	it("is asked for by name where it is missing, and found by NODE_PATH, from a bundle of either form", () => {
		const dir = mkdtempSync(join(tmpdir(), "mcp-fanout-sdk-"));
		try {
			for (const [format, outfile] of [
				["esm", join(dir, "sdk.mjs")],
				["cjs", join(dir, "sdk.cjs")],
			] as const) {
				buildSync({
					entryPoints: [join(SRC, "sdk.ts")],
					outfile,
					format,
					bundle: true,
					platform: "node",
					logLevel: "silent",
				});
				const script = `
					const { createAwsClients } = await import(${JSON.stringify(pathToFileURL(outfile).href)});
					try { createAwsClients({ region: "us-east-1" }).sqs(); console.log("found"); }
					catch ({ code, message, data }) { console.log(code, data.module, message.includes("install it")); }`;
				expect(run(script)).toBe("DependencyMissing @aws-sdk/client-sqs true");
				expect(run(script, { NODE_PATH: join(ROOT, "node_modules") })).toBe("found");
			}
		} finally {
			rmSync(dir, { recursive: true, force: true });
		}
	});
});

describe("clients", () => {
	it("are one per service and region, and new ones after close", () => {
		const clients = createAwsClients({ region: "us-east-1", credentials: { accessKeyId: "a", secretAccessKey: "b" } });
		expect(clients.sqs()).toBe(clients.sqs("us-east-1"));
		expect(clients.sqs("eu-west-1")).not.toBe(clients.sqs());
		expect(clients.management("https://a/live")).not.toBe(clients.management("https://b/live"));
		const first = clients.dynamo();
		clients.close();
		clients.close();
		expect(clients.dynamo()).not.toBe(first);
		clients.close();
	});
});

/** Signature Version 4 by its documentation, written apart from the code under test. */
function signatureOf(url: URL, secret: string): string {
	const hmac = (by: string | Buffer, text: string) => createHmac("sha256", by).update(text).digest();
	const percent = (text: string) =>
		encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
	const pairs = [...url.searchParams].filter(([name]) => name !== "X-Amz-Signature");
	const query = pairs.map(([name, value]) => `${percent(name)}=${percent(value)}`).sort();
	const date = url.searchParams.get("X-Amz-Date") ?? "";
	const scope = [date.slice(0, 8), "eu-west-1", "execute-api", "aws4_request"];
	const empty = createHash("sha256").update("").digest("hex");
	const canonical = ["GET", url.pathname, query.join("&"), `host:${url.host}`, "", "host", empty].join("\n");
	const digest = createHash("sha256").update(canonical).digest("hex");
	const key = scope.reduce<string | Buffer>((by, part) => hmac(by, part), `AWS4${secret}`);
	return createHmac("sha256", key)
		.update(["AWS4-HMAC-SHA256", date, scope.join("/"), digest].join("\n"))
		.digest("hex");
}

describe("a socket address", () => {
	it.each([
		"wss://abc.execute-api.eu-west-1.amazonaws.com/live",
		"wss://abc.execute-api.eu-west-1.amazonaws.com/live?dial=42",
		"ws://localhost:4566/_aws/execute-api/abc/live?dial=7&x=a%20b",
	])("%s is signed with every parameter that it has", async (address) => {
		const credentials = { accessKeyId: "AKID", secretAccessKey: "very/secret", sessionToken: "token/+=" };
		const clients = createAwsClients({ region: "eu-west-1", credentials });
		const signed = new URL(await clients.signSocket(address, 60));
		clients.close();
		for (const [name, value] of new URL(address).searchParams) expect(signed.searchParams.get(name)).toBe(value);
		expect(signed.searchParams.get("X-Amz-Expires")).toBe("60");
		expect(signed.searchParams.get("X-Amz-Security-Token")).toBe("token/+=");
		expect(signed.searchParams.get("X-Amz-Signature")).toBe(signatureOf(signed, "very/secret"));
		expect(signed.href).not.toContain("very");
	});
});
