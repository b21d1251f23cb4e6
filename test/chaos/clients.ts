/**
 * Client streams that behave as clients do: each keeps its cursor, and when its connection breaks, ends or is refused
 * it resumes after a short while at any process. What it is shown goes to the history.
 */
import type { History, HistoryStream } from "../support/history.ts";
import { createRandom, type Random } from "../support/random.ts";
import { openSseConnection, type SseConnection } from "./sse.ts";

export interface ClientOptions {
	readonly history: History;
	readonly random: Random;
	/** Ports of processes that take clients. */
	ports(): readonly number[];
	/** How long a lost client waits before it comes back, at most. */
	readonly maxBackoffMs: number;
	/** How long a connection may take to show its first cursor before it is given up. */
	readonly openWithinMs?: number;
	/** A planted bug: the cursor is forgotten with the connection. */
	readonly forgetful?: boolean;
	/** What was shown; for figures. */
	shown?(stream: string, id: string): void;
}

export interface ClientPlan extends HistoryStream {
	readonly path: string;
}

export interface Client {
	readonly plan: ClientPlan;
	/** Resolves when the first cursor came: from now on nothing may be missing. */
	readonly opened: Promise<void>;
	/** A connection stands, and its cursor came. */
	isWhole(): boolean;
	readonly resumes: number;
	/** Copies that came before their lane had them. */
	readonly early: number;
	readonly reasons: readonly string[];
	/** The network breaks under it; it comes back. */
	cut(): void;
	close(): void;
}

const OPEN_DEADLINE_MS = 5_000;

export function createClient(plan: ClientPlan, options: ClientOptions): Client {
	const { history } = options;
	const random = createRandom(options.random.below(2 ** 31));
	const opened = Promise.withResolvers<void>();
	const reasons: string[] = [];
	let connection: SseConnection | undefined;
	let cursor = "";
	let isOpened = false;
	let isWhole = false;
	let isClosed = false;
	let resumes = 0;
	let early = 0;
	let timer: NodeJS.Timeout | undefined;

	function show(type: string, data: string, id: string, isBare: boolean): void {
		cursor = id;
		if (!isWhole) {
			clearTimeout(timer);
			isWhole = true;
		}
		if (!isOpened) {
			isOpened = true;
			history.opened(plan);
			opened.resolve();
		}
		if (type === "message") {
			const message = (JSON.parse(data) as { params: { data: string } }).params.data;
			if (isBare) early += 1;
			history.received(plan.id, message, isBare);
			options.shown?.(plan.id, message);
		} else if (type === "mark") history.told(plan.id, data);
		else if (type === "end") reasons.push((JSON.parse(data) as { reason: string }).reason);
	}

	function connect(): void {
		if (isClosed) return;
		const ports = options.ports();
		if (ports.length === 0) {
			retry();
			return;
		}
		let mine: SseConnection | undefined;
		mine = openSseConnection(random.pick(ports), plan.path, cursor, {
			event: show,
			lost: () => {
				if (connection === mine) drop();
			},
		});
		connection = mine;
		timer = setTimeout(drop, options.openWithinMs ?? OPEN_DEADLINE_MS);
	}

	function retry(): void {
		timer = setTimeout(connect, 1 + random.below(options.maxBackoffMs));
	}

	function drop(): void {
		clearTimeout(timer);
		connection?.cut();
		connection = undefined;
		isWhole = false;
		if (options.forgetful === true) cursor = "";
		resumes += 1;
		if (isOpened) history.resumed(plan.id);
		retry();
	}

	connect();
	return {
		plan,
		opened: opened.promise,
		isWhole: () => isWhole,
		get resumes() {
			return resumes;
		},
		get early() {
			return early;
		},
		reasons,
		cut: drop,
		close() {
			isClosed = true;
			clearTimeout(timer);
			connection?.cut();
			connection = undefined;
		},
	};
}
