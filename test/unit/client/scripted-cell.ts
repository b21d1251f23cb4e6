/**
 * The ticket API on loopback with logs behind it, scripted by a test: it pages and states verdicts as a cell does,
 * and posts what `posts` makes of each frame (nothing, twice, later, garbage).
 */
import type { AddressInfo } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";

export interface LogEntry {
	readonly n: number;
	readonly message: { readonly jsonrpc: "2.0"; readonly method: string } | null;
}

export interface CellFrame {
	readonly action: string;
	readonly ref: number;
	readonly channels?: readonly string[];
	readonly again?: boolean | string;
	readonly channel?: string;
	readonly from?: string;
	readonly limit?: number;
	readonly ticket?: string;
}

export interface CellConnection {
	readonly ticket: string;
	readonly frames: CellFrame[];
	readonly rows: Set<string>;
	open: boolean;
	send(frame: unknown): void;
	cut(): void;
	freeze(): void;
}

interface Log {
	epoch: string;
	entries: LogEntry[];
	/** Entries up to this number are gone. */
	trimmed: number;
}

export type Post = (send: () => void, connection: CellConnection) => void;

export async function createScriptedCell() {
	const server = new WebSocketServer({
		port: 0,
		host: "127.0.0.1",
		handleProtocols: (offered) => (offered.has("mcp-fanout") ? "mcp-fanout" : false),
		verifyClient: (_info: unknown, done: (ok: boolean, status?: number) => void) => done(cell.accepts, 403),
	});
	await new Promise((resolve) => server.once("listening", resolve));
	const logs = new Map<string, Log>();
	const connections: CellConnection[] = [];
	const logOf = (key: string): Log => {
		const log = logs.get(key) ?? { epoch: "0000aaaa", entries: [], trimmed: 0 };
		logs.set(key, log);
		return log;
	};
	const endOf = (key: string) => {
		const log = logs.get(key);
		return log === undefined || log.entries.length === 0 ? "00000000.0" : `${log.epoch}.${log.entries.at(-1)?.n}`;
	};
	const wire = (log: Log, { n, message }: LogEntry) => ({
		p: `${log.epoch}.${n}`,
		prev: `${log.epoch}.${n - 1}`,
		e: message && { id: `id-${n}`, message },
	});

	function page(frame: CellFrame): unknown {
		const key = frame.channel ?? "";
		const log = logOf(key);
		const [epoch = "", offset = "0"] = (frame.from ?? "").split(".");
		const isBeginning = frame.from === "00000000.0";
		const isForeign = !isBeginning && (epoch !== log.epoch || Number(offset) > (log.entries.at(-1)?.n ?? 0));
		const after = isForeign || isBeginning ? 0 : Number(offset);
		const kept = log.entries.filter(({ n }) => n > log.trimmed && n > after);
		const limit = Math.min(frame.limit ?? 100, cell.pageEntries);
		const verdict = isForeign ? "epoch" : log.trimmed > after ? "retention" : "whole";
		return {
			t: "page",
			ref: frame.ref,
			channel: key,
			entries: kept.slice(0, limit).map((entry) => wire(log, entry)),
			more: kept.length > limit,
			verdict,
		};
	}

	function answer(frame: CellFrame, connection: CellConnection): unknown {
		if (frame.action === "ping") return { t: "pong", ref: frame.ref };
		if (frame.action === "renew") return { t: "renewed", ref: frame.ref, expiresAt: 0 };
		if (frame.action === "read") return page(frame);
		const keys = frame.channels ?? [];
		const accepted = keys.filter((key) => !cell.refused.has(key));
		for (const key of accepted) connection.rows.add(key);
		const refused = keys.filter((key) => cell.refused.has(key)).map((key) => [key, cell.refused.get(key)]);
		return {
			t: "subscribed",
			ref: frame.ref,
			region: cell.region,
			ends: accepted.map((key) => [key, endOf(key)]),
			refused,
		};
	}

	server.on("connection", (socket: WebSocket, request) => {
		let frozen = false;
		const offered = String(request.headers["sec-websocket-protocol"]).split(/, */);
		const connection: CellConnection = {
			ticket: offered.find((name) => name.startsWith("ticket."))?.slice(7) ?? "",
			frames: [],
			rows: new Set(),
			open: true,
			send: (frame) => {
				if (!frozen && connection.open) socket.send(typeof frame === "string" ? frame : JSON.stringify(frame));
			},
			cut: () => socket.terminate(),
			freeze: () => {
				frozen = true;
			},
		};
		connections.push(connection);
		socket.on("error", () => socket.terminate());
		socket.on("close", () => {
			connection.open = false;
			connection.rows.clear();
		});
		socket.on("message", (data) => {
			if (frozen) return;
			const frame = JSON.parse(String(data)) as CellFrame;
			connection.frames.push(frame);
			const reply = cell.answer ? cell.answer(frame, connection) : answer(frame, connection);
			if (reply !== undefined) connection.send(reply);
		});
	});

	const cell = {
		url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/stage`,
		connections,
		logs,
		refused: new Map<string, string>(),
		accepts: true,
		/** As the cell says; cells of before it did say none. */
		region: undefined as string | undefined,
		pageEntries: 100,
		posts: ((send) => send()) as Post,
		answer: undefined as ((frame: CellFrame, connection: CellConnection) => unknown) | undefined,
		usual: answer,
		endOf,
		get last(): CellConnection {
			const last = connections.at(-1);
			if (last === undefined) throw new Error("nobody has connected");
			return last;
		},
		/** Appends a message (or, with null, a gap) and posts it to whoever has a row. */
		append(key: string, method: string | null): void {
			const log = logOf(key);
			const entry: LogEntry = {
				n: (log.entries.at(-1)?.n ?? 0) + 1,
				message: method === null ? null : { jsonrpc: "2.0", method },
			};
			log.entries.push(entry);
			const frame = { t: "entries", channel: key, entries: [wire(log, entry)] };
			for (const connection of connections) {
				if (connection.rows.has(key)) cell.posts(() => connection.send(frame), connection);
			}
		},
		/** The log loses all it had: a new epoch begins. */
		reset(key: string, epoch: string): void {
			logs.set(key, { epoch, entries: [], trimmed: 0 });
		},
		trim(key: string, upTo: number): void {
			logOf(key).trimmed = upTo;
		},
		close: () =>
			new Promise<void>((resolve) => {
				for (const socket of server.clients) socket.terminate();
				server.close(() => resolve());
			}),
	};
	return cell;
}

export type ScriptedCell = Awaited<ReturnType<typeof createScriptedCell>>;

/** Waits for I/O, never for time: fails after five seconds without the condition. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
	const limit = Date.now() + 5_000;
	while (!(await holds())) {
		if (Date.now() > limit) throw new Error(`never happened: ${what}`);
		await new Promise((resolve) => setTimeout(resolve, 2));
	}
}
