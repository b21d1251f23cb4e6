/**
 * The wire between one instance and one broker: a TCP port that can refuse, cut, hold everything still, be slow, and
 * lose, repeat and delay single deliveries.
 */
import { connect, createServer, type Socket } from "node:net";
import type { Random } from "../support/random.ts";
import type { Splitter } from "./frames.ts";

export interface Mangling {
	/** Shares of the deliveries, each from 0 to 1. */
	readonly lose: number;
	readonly repeat: number;
	readonly delay: number;
	readonly maxDelayMs: number;
}

export interface Link {
	readonly port: number;
	/** Breaks every connection; the next `refusals` that are made end at once. */
	cut(refusals?: number): void;
	/** New connections end at once while it is so. */
	refusing: boolean;
	/** Nothing comes through, in either direction, and nobody is told; false lets go what was held. */
	hold(still: boolean): void;
	/** Each chunk takes so long; order is kept. */
	delayMs: number;
	mangling: Mangling | undefined;
	/** Deliveries that were lost, repeated or late. */
	readonly mangled: number;
	close(): Promise<void>;
}

export interface LinkOptions {
	readonly target: number;
	readonly random: Random;
	readonly splitter?: () => Splitter;
}

/** One direction: chunks leave in the order in which they came, each at its time. */
class Pipe {
	readonly #to: Socket;
	readonly #queue: { readonly at: number; readonly bytes: Buffer }[] = [];
	#timer: NodeJS.Timeout | undefined;

	constructor(to: Socket) {
		this.#to = to;
	}

	send(bytes: Buffer, delayMs: number): void {
		if (delayMs === 0 && this.#queue.length === 0) this.#write(bytes);
		else {
			this.#queue.push({ at: performance.now() + delayMs, bytes });
			this.#timer ??= setTimeout(() => this.#pump(), delayMs);
		}
	}

	/** Out of turn. */
	sendLate(bytes: Buffer, delayMs: number): void {
		setTimeout(() => this.#write(bytes), delayMs);
	}

	#pump(): void {
		this.#timer = undefined;
		for (let head = this.#queue[0]; head !== undefined; head = this.#queue[0]) {
			const waitMs = head.at - performance.now();
			if (waitMs > 0) {
				this.#timer = setTimeout(() => this.#pump(), waitMs);
				return;
			}
			this.#queue.shift();
			this.#write(head.bytes);
		}
	}

	#write(bytes: Buffer): void {
		if (this.#to.writable) this.#to.write(bytes);
	}
}

export async function openLink({ target, random, splitter }: LinkOptions): Promise<Link> {
	const sockets = new Set<Socket>();
	let refusals = 0;
	let isHeld = false;
	let mangled = 0;

	function deliver(pipe: Pipe, bytes: Buffer): void {
		const { mangling } = link;
		if (mangling === undefined) {
			pipe.send(bytes, link.delayMs);
			return;
		}
		if (random.next() < mangling.lose) {
			mangled += 1;
			return;
		}
		const late = () => {
			mangled += 1;
			pipe.sendLate(Buffer.from(bytes), random.below(mangling.maxDelayMs));
		};
		if (random.next() < mangling.delay) late();
		else pipe.send(bytes, link.delayMs);
		if (random.next() < mangling.repeat) late();
	}

	const server = createServer((client) => {
		if (link.refusing || refusals > 0) {
			refusals = Math.max(0, refusals - 1);
			client.on("error", () => {});
			client.destroy();
			return;
		}
		const upstream = connect(target, "127.0.0.1");
		for (const [socket, other] of [
			[client, upstream],
			[upstream, client],
		] as const) {
			sockets.add(socket.setNoDelay(true));
			if (isHeld) socket.pause();
			socket.on("error", () => socket.destroy());
			socket.on("close", () => {
				sockets.delete(socket);
				other.destroy();
			});
		}
		const up = new Pipe(upstream);
		const down = new Pipe(client);
		const split = splitter?.();
		client.on("data", (chunk) => up.send(chunk, link.delayMs));
		upstream.on("data", (chunk) => {
			const frames = split?.(chunk) ?? [{ bytes: chunk, isLive: false }];
			for (const { bytes, isLive } of frames) {
				if (isLive) deliver(down, bytes);
				else down.send(bytes, link.delayMs);
			}
		});
		if (isHeld) for (const socket of [client, upstream]) socket.pause();
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const address = server.address();
	if (address === null || typeof address === "string") throw new Error("a TCP server has a port");
	const cut = (next = 0) => {
		refusals = next;
		for (const socket of sockets) socket.destroy();
	};
	const link: Link = {
		port: address.port,
		cut,
		refusing: false,
		hold(still) {
			isHeld = still;
			for (const socket of sockets) {
				if (still) socket.pause();
				else socket.resume();
			}
		},
		delayMs: 0,
		mangling: undefined,
		get mangled() {
			return mangled;
		},
		async close() {
			cut();
			await new Promise((resolve) => server.close(resolve));
		},
	};
	return link;
}
