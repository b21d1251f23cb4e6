/**
 * The chaos fleet's server processes as their test sees them: each can be killed without a goodbye, held still, and
 * started again on its ports; publishes go through it in call order and come back as what the caller was told.
 */
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { holdStill } from "../support/hold-still.ts";
import { freePorts } from "../support/ports.ts";
import { type Proc, startProc, waitFor } from "../support/proc.ts";
import { CHILD_PATH, ROOT } from "../support/root.ts";
import type { Answer, Command, FleetOptions, InstancePlan, Target } from "./instance.ts";

const START_DEADLINE_MS = 60_000;
const PROGRAM = join(ROOT, "test", "chaos", "instance.ts");

export type Verdict = "accepted" | "uncertain" | "certain";
type CommandWithoutNumber = Command extends infer C ? (C extends Command ? Omit<C, "n"> : never) : never;

export interface Instance {
	readonly name: string;
	readonly port: number;
	/** Its name and how often it was started: a process that died is another publisher when it comes back. */
	readonly incarnation: string;
	/** Its control connection stands: it can be asked to publish. */
	isUp(): boolean;
	publish(
		namespace: string,
		to: Target,
		id: string,
	): Promise<{ readonly verdict: Verdict; readonly home?: string | undefined }>;
	ask(command: CommandWithoutNumber): Promise<Answer>;
	start(): Promise<void>;
	/** kill -9. */
	kill(): Promise<void>;
	freeze(): Promise<void>;
	thaw(): void;
	stop(): Promise<void>;
}

export interface InstanceOptions {
	readonly name: string;
	readonly namespaces: readonly string[];
	readonly options: FleetOptions;
	readonly logDir: string;
}

const LOST: Answer = { n: 0, ok: false, error: "connection lost", certain: false };

export async function createInstance({ logDir, ...options }: InstanceOptions): Promise<Instance> {
	const [port, controlPort] = (await freePorts(2)) as [number, number];
	const plan: InstancePlan = { ...options, port, controlPort };
	const waiting = new Map<number, (answer: Answer) => void>();
	let proc: Proc | undefined;
	let control: Socket | undefined;
	let pid = 0;
	let n = 0;
	let starts = 0;

	function attach(socket: Socket): void {
		const lines = createInterface({ input: socket });
		// It repeats the socket's own.
		lines.on("error", () => {});
		lines.on("line", (line) => {
			const answer = JSON.parse(line) as Answer;
			waiting.get(answer.n)?.(answer);
			waiting.delete(answer.n);
		});
		socket.on("error", () => socket.destroy());
		socket.on("close", () => {
			if (control === socket) control = undefined;
			for (const settle of waiting.values()) settle(LOST);
			waiting.clear();
		});
		control = socket;
	}

	const dial = () =>
		new Promise<boolean>((resolve) => {
			const socket = connect(controlPort, "127.0.0.1");
			socket.once("connect", () => {
				attach(socket);
				resolve(true);
			});
			socket.once("error", () => resolve(false));
		});

	const instance: Instance = {
		name: plan.name,
		port,
		get incarnation() {
			return `${plan.name}#${starts}`;
		},
		isUp: () => control?.writable === true,
		ask(command) {
			n += 1;
			const number = n;
			return new Promise((resolve) => {
				if (control === undefined) return resolve(LOST);
				waiting.set(number, resolve);
				control.write(`${JSON.stringify({ ...command, n: number })}\n`);
			});
		},
		async publish(namespace, to, id) {
			const { ok, certain, home } = await instance.ask({ do: "publish", namespace, to, id });
			return { verdict: ok ? "accepted" : certain === true ? "certain" : "uncertain", home };
		},
		async start() {
			starts += 1;
			const args = ["--conditions=mcp-fanout-source", PROGRAM];
			const env = { PATH: CHILD_PATH, LANG: "C.UTF-8", CHAOS_PLAN: JSON.stringify(plan) };
			const logFile = join(logDir, `${plan.name}.log`);
			proc = startProc({ name: plan.name, command: process.execPath, args, cwd: ROOT, env, logFile });
			await waitFor(`${plan.name} is up`, dial, { deadlineMs: START_DEADLINE_MS, proc });
			pid = (await instance.ask({ do: "pid" })).pid as number;
		},
		async kill() {
			process.kill(pid, "SIGKILL");
			await proc?.stop();
		},
		freeze: () => holdStill(pid),
		thaw: () => void process.kill(pid, "SIGCONT"),
		async stop() {
			control?.destroy();
			await proc?.stop();
		},
	};
	return instance;
}
