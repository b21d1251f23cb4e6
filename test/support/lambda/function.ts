/** A function with as many environments as invocations run at once, and before it an address that streams its answers. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type Environment, type FunctionOptions, type Invocation, startEnvironment } from "./environment.ts";

const NULS = Buffer.alloc(8);
const STREAMED = "application/vnd.awslambda.http-integration-response";

export interface LambdaFunction {
	/** A function URL in mode RESPONSE_STREAM, without authorisation. */
	readonly url: string;
	invoke(event: unknown): Promise<Invocation>;
	/** Resolves when every invocation has ended. */
	idle(): Promise<void>;
	readonly environments: readonly Environment[];
	stop(): Promise<void>;
}

interface Head {
	readonly statusCode: number;
	readonly headers?: Readonly<Record<string, string>>;
	readonly cookies?: readonly string[];
}

/** What the front makes of a request; `undefined` refuses it with 403, as an authorizer does. */
export type EventOf = (req: IncomingMessage, body: Buffer) => Promise<unknown>;

export async function startFunction(
	options: FunctionOptions & { readonly eventOf?: EventOf },
): Promise<LambdaFunction> {
	const { eventOf = urlEvent } = options;
	const environments: Environment[] = [];
	const open = new Set<Promise<unknown>>();

	async function invoke(event: unknown): Promise<Invocation> {
		let environment = environments.find(({ isIdle }) => isIdle);
		if (environment === undefined) {
			environment = await startEnvironment(options);
			environments.push(environment);
		}
		const invocation = await environment.invoke(event);
		const done = invocation.done.finally(() => open.delete(done));
		open.add(done);
		return invocation;
	}

	const server = createServer((req, res) => {
		// What went wrong is in the function's log.
		answer(req, res, invoke, eventOf).catch(() => {
			if (res.headersSent) res.destroy();
			else res.writeHead(502, { "content-type": "application/json" }).end('{"message":"Internal Server Error"}');
		});
	});
	await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
	return {
		url: `http://localhost:${(server.address() as AddressInfo).port}`,
		invoke,
		environments,
		async idle() {
			while (open.size > 0) await Promise.all(open);
		},
		async stop() {
			server.closeAllConnections();
			server.close();
			await Promise.all(environments.map((environment) => environment.stop()));
		},
	};
}

async function answer(
	req: IncomingMessage,
	res: ServerResponse,
	invoke: (event: unknown) => Promise<Invocation>,
	eventOf: EventOf,
): Promise<void> {
	const event = await eventOf(req, Buffer.concat(await req.toArray()));
	if (event === undefined) {
		res.writeHead(403).end();
		return;
	}
	const { contentType, payload, done } = await invoke(event);
	// A client that leaves is not told to the function: it goes on, and what it writes goes nowhere.
	res.on("error", () => {});
	if (contentType !== STREAMED) {
		const chunks = await payload.toArray();
		const error = await done;
		if (error !== undefined) throw new Error(error.errorMessage);
		const { body, isBase64Encoded, ...head } = JSON.parse(Buffer.concat(chunks).toString());
		writeHead(res, head as Head);
		res.end(Buffer.from(body, isBase64Encoded ? "base64" : "utf8"));
		return;
	}
	let before = Buffer.alloc(0);
	for await (const chunk of payload) {
		if (res.headersSent) {
			if (res.destroyed || res.write(chunk)) continue;
			await new Promise<void>((resolve) => res.once("drain", resolve).once("close", resolve));
			continue;
		}
		before = Buffer.concat([before, chunk]);
		const end = before.indexOf(NULS);
		if (end < 0) continue;
		writeHead(res, JSON.parse(before.subarray(0, end).toString()) as Head);
		res.flushHeaders();
		res.write(before.subarray(end + NULS.length));
	}
	res.end();
}

function writeHead(res: ServerResponse, { statusCode, headers = {}, cookies = [] }: Head): void {
	res.writeHead(statusCode, { ...headers, ...(cookies.length > 0 && { "set-cookie": [...cookies] }) });
}

/** Payload format 2.0, as function URLs send it. */
async function urlEvent(req: IncomingMessage, body: Buffer): Promise<unknown> {
	const { pathname, search } = new URL(req.url ?? "/", "http://localhost");
	const { cookie, ...headers } = req.headers;
	return {
		version: "2.0",
		rawPath: pathname,
		rawQueryString: search.slice(1),
		headers,
		...(cookie !== undefined && { cookies: cookie.split("; ") }),
		requestContext: { domainName: req.headers.host, http: { method: req.method, path: pathname } },
		...(body.length > 0 && { body: body.toString("base64") }),
		isBase64Encoded: body.length > 0,
	};
}
