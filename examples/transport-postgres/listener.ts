/** One connection that listens for all channels: dialled again when it is lost, and asked now and then whether it lives. */
import { Client, type ClientConfig } from "pg";

const ALIVE_MS = 10_000;
const REDIAL = { baseMs: 100, capMs: 5_000 } as const;

export interface ListenerDeps {
	readonly config: ClientConfig;
	readonly topic: string;
	heard(payload: string): void;
	lost(error: Error): void;
	/** It stands again: what was said meanwhile was not heard. */
	restored(): void;
}

export interface Listener {
	open(): Promise<void>;
	close(): void;
}

export function createListener({ config, topic, heard, lost, restored }: ListenerDeps): Listener {
	let isClosed = false;
	let stop: () => void = () => {};

	async function dial(): Promise<void> {
		const client = new Client(config);
		let alive: NodeJS.Timeout | undefined;
		let isOver = false;
		const end = (error: Error) => {
			if (isOver) return;
			isOver = true;
			clearInterval(alive);
			client.end().catch(() => {});
			if (isClosed || alive === undefined) return;
			lost(error);
			redial(0);
		};
		stop = () => end(new Error("closed"));
		// One that nobody listens for would end the process.
		client.on("error", end);
		client.on("end", () => end(new Error("the connection ended")));
		client.on("notification", ({ payload = "" }) => isOver || heard(payload));
		try {
			await client.connect();
			await client.query(`LISTEN ${topic}`);
			if (isOver) throw new Error("the connection ended");
		} catch (error) {
			end(error as Error);
			throw error;
		}
		alive = setInterval(() => client.query("SELECT 1").catch(end), ALIVE_MS).unref();
	}

	function redial(attempt: number): void {
		const delayMs = Math.min(REDIAL.capMs, REDIAL.baseMs * 2 ** attempt) * Math.random();
		const timer = setTimeout(() => dial().then(restored, () => isClosed || redial(attempt + 1)), delayMs);
		stop = () => clearTimeout(timer);
	}

	return {
		open: dial,
		close() {
			isClosed = true;
			stop();
		},
	};
}
