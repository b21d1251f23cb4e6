/**
 * One execution environment of a function: the runtime in a child process, and the Runtime API that it asks. It serves
 * one invocation at a time and is frozen in between (SIGSTOP), as Lambda does; one that runs over its time is killed.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { PassThrough, type Readable } from "node:stream";
import { type Proc, startProc } from "../proc.ts";
import { CHILD_PATH } from "../root.ts";

export interface FunctionOptions {
	readonly name: string;
	/** Where the handler's module lies, and `module.export`. */
	readonly taskRoot: string;
	readonly handler: string;
	readonly env: Readonly<Record<string, string>>;
	/** Where layers and the runtime's own modules are. */
	readonly nodePath: readonly string[];
	readonly timeoutMs: number;
	readonly logFile: string;
}

export interface FunctionError {
	readonly errorType: string;
	readonly errorMessage: string;
}

export interface Invocation {
	/** As the function sent it: `application/vnd.awslambda.http-integration-response` for a streamed HTTP answer. */
	readonly contentType: string;
	/** What the function wrote, as it came. */
	readonly payload: Readable;
	/** Resolves when the function has asked for the next invocation, with the error if it failed. */
	readonly done: Promise<FunctionError | undefined>;
}

interface Running {
	readonly id: string;
	readonly answered: PromiseWithResolvers<Invocation>;
	readonly done: PromiseWithResolvers<FunctionError | undefined>;
	readonly timer: NodeJS.Timeout;
	error: FunctionError | undefined;
}

export interface Environment {
	readonly isIdle: boolean;
	/** Idle and never again. */
	readonly isOver: boolean;
	invoke(event: unknown): Promise<Invocation>;
	/** TCP sockets of the process, less the one to the Runtime API. */
	sockets(): number;
	stop(): Promise<void>;
}

export async function startEnvironment(options: FunctionOptions): Promise<Environment> {
	let pid: number | undefined;
	let isOver = false;
	let asking: ServerResponse | undefined;
	let running: Running | undefined;
	const ready = Promise.withResolvers<void>();
	let count = 0;

	const server = createServer((req, res) => {
		const [, id, what] = /\/invocation\/([^/]+)\/(response|error)$/.exec(req.url ?? "") ?? [];
		if (req.url?.endsWith("/invocation/next")) next(req, res);
		else if (running === undefined || id !== running.id) res.writeHead(400).end();
		else if (what === "error") whole(req, res, running, true);
		else if (req.headers["lambda-runtime-function-response-mode"] === "streaming") streamed(req, res, running);
		else whole(req, res, running, false);
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const { port } = server.address() as AddressInfo;

	function next(req: IncomingMessage, res: ServerResponse): void {
		pid = Number(req.headers["x-pid"]);
		asking = res;
		res.on("close", () => {
			if (asking === res) asking = undefined;
		});
		const ended = running;
		running = undefined;
		clearTimeout(ended?.timer);
		// It has asked, and computes nothing until it is answered.
		freeze();
		ended?.done.resolve(ended.error);
		ready.resolve();
	}

	function freeze(): void {
		if (pid === undefined || running !== undefined) return;
		try {
			process.kill(pid, "SIGSTOP");
		} catch (error) {
			// One that was killed after it asked needs no freezing.
			if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
		}
	}

	function whole(req: IncomingMessage, res: ServerResponse, invocation: Running, isError: boolean): void {
		const chunks: Buffer[] = [];
		req.on("data", (chunk: Buffer) => chunks.push(chunk));
		req.on("end", () => {
			const body = Buffer.concat(chunks);
			if (isError) invocation.error = JSON.parse(body.toString()) as FunctionError;
			const payload = new PassThrough();
			payload.end(body);
			invocation.answered.resolve({ contentType: "application/json", payload, done: invocation.done.promise });
			res.writeHead(202).end();
		});
	}

	function streamed(req: IncomingMessage, res: ServerResponse, invocation: Running): void {
		const payload = new PassThrough();
		payload.on("error", () => {}); // for those who read it; `done` tells too
		const contentType = req.headers["content-type"] ?? "";
		invocation.answered.resolve({ contentType, payload, done: invocation.done.promise });
		req.on("data", (chunk: Buffer) => void (payload.write(chunk) || wait(req, payload)));
		req.on("close", () => {
			if (!req.complete) payload.destroy(new Error("the environment died"));
		});
		req.on("end", () => {
			const error = req.trailers["lambda-runtime-function-error-body"];
			if (typeof error === "string") {
				invocation.error = JSON.parse(Buffer.from(error, "base64").toString()) as FunctionError;
				payload.destroy(new Error(invocation.error.errorMessage));
			} else payload.end();
			res.writeHead(202).end();
		});
	}

	function over(error: FunctionError): void {
		isOver = true;
		const ended = running;
		running = undefined;
		clearTimeout(ended?.timer);
		ended?.answered.reject(new Error(error.errorMessage));
		ended?.done.resolve(error);
		ready.reject(new Error(error.errorMessage));
	}

	const proc: Proc = startProc({
		name: options.name,
		command: process.execPath,
		args: [join(import.meta.dirname, "bootstrap.ts")],
		cwd: options.taskRoot,
		env: {
			...options.env,
			PATH: CHILD_PATH,
			NODE_PATH: options.nodePath.join(":"),
			AWS_LAMBDA_RUNTIME_API: `127.0.0.1:${port}`,
			AWS_LAMBDA_FUNCTION_NAME: options.name,
			LAMBDA_TASK_ROOT: options.taskRoot,
			_HANDLER: options.handler,
		},
		logFile: options.logFile,
	});
	proc.exited.then((code) =>
		over({ errorType: "Runtime.ExitError", errorMessage: `exited with code ${code}\n${proc.tail()}` }),
	);

	async function stop(): Promise<void> {
		isOver = true;
		if (pid !== undefined && proc.running()) process.kill(pid, "SIGKILL");
		await proc.stop();
		server.closeAllConnections();
		server.close();
	}

	ready.promise.catch(() => undefined); // a start that fails is told to whoever waits for it
	await ready.promise;
	return {
		get isIdle() {
			return running === undefined && !isOver;
		},
		get isOver() {
			return isOver;
		},
		invoke(event) {
			if (running !== undefined || asking === undefined || pid === undefined)
				throw new Error(`${options.name} is busy`);
			const late = () => {
				over({ errorType: "Sandbox.Timedout", errorMessage: `Task timed out after ${options.timeoutMs} ms` });
				stop().catch(console.error);
			};
			count += 1;
			running = {
				id: `00000000-0000-0000-0000-${String(count).padStart(12, "0")}`,
				answered: Promise.withResolvers(),
				done: Promise.withResolvers(),
				timer: setTimeout(late, options.timeoutMs),
				error: undefined,
			};
			process.kill(pid, "SIGCONT");
			asking.writeHead(200, {
				"Content-Type": "application/json",
				"Lambda-Runtime-Aws-Request-Id": running.id,
				"Lambda-Runtime-Deadline-Ms": String(Date.now() + options.timeoutMs),
				"Lambda-Runtime-Invoked-Function-Arn": `arn:aws:lambda:us-east-1:000000000000:function:${options.name}`,
			});
			asking.end(JSON.stringify(event));
			return running.answered.promise;
		},
		sockets: () => (pid === undefined || isOver ? 0 : socketsOf(pid, port)),
		stop,
	};
}

function wait(req: IncomingMessage, payload: PassThrough): void {
	req.pause();
	payload.once("drain", () => req.resume());
}

/** One that was closed since it was listed is nothing. */
function linkOf(path: string): string {
	try {
		return readlinkSync(path);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
		throw error;
	}
}

/** Counted by the kernel's own list: what the process says of itself leaves out idle sockets. Needs /proc. */
function socketsOf(pid: number, runtimePort: number): number {
	const held = readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
		const [, inode] = /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/${pid}/fd/${fd}`)) ?? [];
		return inode === undefined ? [] : [inode];
	});
	const remotePorts = ["tcp", "tcp6"].flatMap((table) =>
		readFileSync(`/proc/${pid}/net/${table}`, "utf8")
			.split("\n")
			.slice(1)
			.map((line) => line.trim().split(/\s+/))
			.filter((fields) => held.includes(fields[9] ?? ""))
			.map((fields) => Number.parseInt(fields[2]?.split(":")[1] ?? "0", 16)),
	);
	return remotePorts.filter((remote) => remote !== runtimePort).length;
}
