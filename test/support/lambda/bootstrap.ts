/**
 * Lambda's Node.js runtime as a handler sees it: the loop over the Runtime API and `globalThis.awslambda`, by the wire
 * contract of aws-lambda-ric 4.0.2 (whose native client needs a compiler): response mode header, prelude before the
 * first write, error trailers, one keep-alive connection. Run by environment.ts.
 */
import { existsSync } from "node:fs";
import { Agent, type ClientRequest, type IncomingMessage, request } from "node:http";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

type Handler = ((...args: unknown[]) => unknown) & { [MARK]?: unknown };
type Stream = ClientRequest & { setContentType?(type: string): void; _onBeforeFirstWrite?: (write: Write) => void };
type Write = (chunk: string | Uint8Array) => unknown;

const MARK = Symbol.for("aws.lambda.runtime.handler.streaming");
const { AWS_LAMBDA_RUNTIME_API = "", _HANDLER = "", LAMBDA_TASK_ROOT = "" } = process.env;
const agent = new Agent({ keepAlive: true, maxSockets: 1 });
const [hostname, port] = AWS_LAMBDA_RUNTIME_API.split(":");
const base = "/2018-06-01/runtime";

Object.assign(globalThis, {
	awslambda: {
		streamifyResponse: (handler: Handler) => Object.assign(handler, { [MARK]: "response" }),
		HttpResponseStream: {
			from(stream: Stream, prelude: unknown) {
				stream.setContentType?.("application/vnd.awslambda.http-integration-response");
				stream._onBeforeFirstWrite = (write) => {
					write(JSON.stringify(prelude));
					write(new Uint8Array(8));
				};
				return stream;
			},
		},
	},
});

function call(method: string, path: string, headers: Record<string, string | string[]>, onAnswer: OnAnswer) {
	return request({ hostname, port, agent, method, path: base + path, headers }, onAnswer);
}
type OnAnswer = (answer: IncomingMessage) => void;

function whole(
	method: string,
	path: string,
	headers: Record<string, string>,
	body = "",
): Promise<IncomingMessage & { text: string }> {
	return new Promise((resolve, reject) => {
		const sent = call(method, path, headers, (answer) => {
			let text = "";
			answer.setEncoding("utf8").on("data", (chunk) => {
				text += chunk;
			});
			answer.on("end", () => resolve(Object.assign(answer, { text })));
		});
		sent.on("error", reject).end(body);
	});
}

function told(error: unknown) {
	const { name = "Error", message = String(error), stack = "" } = (error ?? {}) as Partial<Error>;
	return { errorType: name, errorMessage: message, trace: stack.split("\n") };
}

async function stream(handler: Handler, id: string, event: unknown, context: unknown): Promise<void> {
	const answered = Promise.withResolvers<void>();
	answered.promise.catch(() => {}); // awaited below, unless the handler fails first
	const headers = {
		"Lambda-Runtime-Function-Response-Mode": "streaming",
		"Content-Type": "application/octet-stream",
		"Transfer-Encoding": "chunked",
		Trailer: ["Lambda-Runtime-Function-Error-Type", "Lambda-Runtime-Function-Error-Body"],
	};
	const out: Stream = call("POST", `/invocation/${id}/response`, headers, (answer) => {
		answer.resume().on("end", () => answered.resolve());
	});
	out.on("error", (error) => answered.reject(error));
	let isFirst = true;
	const write = out.write.bind(out) as Write;
	out.setContentType = (type) => {
		if (!isFirst) throw new Error("Cannot set content-type, too late.");
		out.setHeader("Content-Type", type);
	};
	out.write = (chunk: Uint8Array) => {
		if (isFirst) out._onBeforeFirstWrite?.(write);
		isFirst = false;
		return write(chunk) as boolean;
	};
	try {
		const result = await (handler(event, out, context) as Promise<unknown>);
		if (result !== undefined) console.warn("Streaming handlers ignore return values.");
		await answered.promise;
		if (!out.writableFinished) throw new Error("Response stream is not finished.");
	} catch (error) {
		const failure = told(error);
		console.error("Invoke Error", failure);
		out.addTrailers({
			"Lambda-Runtime-Function-Error-Type": failure.errorType,
			"Lambda-Runtime-Function-Error-Body": Buffer.from(JSON.stringify(failure)).toString("base64"),
		});
		await new Promise<void>((resolve) => out.end(() => resolve()));
		await answered.promise.catch(() => undefined);
	}
}

async function buffer(handler: Handler, id: string, event: unknown, context: unknown): Promise<void> {
	const headers = { "Content-Type": "application/json" };
	try {
		const result = JSON.stringify((await handler(event, context)) ?? null);
		await whole("POST", `/invocation/${id}/response`, headers, result);
	} catch (error) {
		console.error("Invoke Error", told(error));
		await whole("POST", `/invocation/${id}/error`, headers, JSON.stringify(told(error)));
	}
}

async function load(): Promise<Handler> {
	const [file = "", name = ""] = _HANDLER.split(".");
	const path = ["js", "mjs", "cjs", "ts"].map((ending) => join(LAMBDA_TASK_ROOT, `${file}.${ending}`)).find(existsSync);
	if (path === undefined) throw new Error(`no module ${file} in ${LAMBDA_TASK_ROOT}`);
	const loaded = (await import(pathToFileURL(path).href)) as Record<string, unknown> & {
		default?: Record<string, unknown>;
	};
	const handler = loaded[name] ?? loaded.default?.[name];
	if (typeof handler !== "function") throw new Error(`${_HANDLER} is undefined or not exported`);
	return handler as Handler;
}

const handler = await load();
for (;;) {
	const { headers, text } = await whole("GET", "/invocation/next", { "x-pid": String(process.pid) });
	const id = String(headers["lambda-runtime-aws-request-id"]);
	const deadline = Number(headers["lambda-runtime-deadline-ms"]);
	const context = {
		awsRequestId: id,
		functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
		invokedFunctionArn: headers["lambda-runtime-invoked-function-arn"],
		getRemainingTimeInMillis: () => Math.max(deadline - Date.now(), 0),
	};
	await (handler[MARK] === "response" ? stream : buffer)(handler, id, JSON.parse(text), context);
}
