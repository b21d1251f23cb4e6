/**
 * What this process does about sessions when another tells it something, and when nobody did for a while: what it
 * knows of them is looked up again, and those that ended elsewhere end here.
 */
import type { Channel } from "../../core/channel.ts";
import { asFanoutError } from "../../core/errors.ts";
import type { Request as Ask } from "../../core/message.ts";
import { Turns } from "../../core/turns.ts";
import type { Listening } from "./ear.ts";
import type { Gets } from "./gets.ts";
import type { SessionHost } from "./host.ts";
import type { LiveSessions } from "./live-sessions.ts";
import type { Looks } from "./looks.ts";
import type { Listener, Peers, Word } from "./peers.ts";
import type { PostLogs } from "./post-log.ts";
import type { Signs } from "./signs.ts";
import type { StoredSession } from "./store.ts";

/** How long a change waits for the process with the session's GET stream to know it. */
export const CHANGE_WAIT_MS = 500;

export interface HearingDeps {
	readonly host: SessionHost;
	readonly live: LiveSessions;
	readonly gets: Gets;
	readonly looks: Looks;
	readonly signs: Signs;
	readonly logs: PostLogs | undefined;
	readonly idleMs: number;
	peers(): Peers;
}

export class Hearing implements Listener {
	readonly #deps: HearingDeps;
	readonly #sweeps = new Turns<never, void>(() => this.#sweep());

	constructor(deps: HearingDeps) {
		this.#deps = deps;
	}

	told(word: Word, from: string): void {
		this.#hear(word, from).catch((error) => this.#failed(error, "what another process said of a session"));
	}

	missed(): void {
		this.sweep().catch((error) => this.#failed(error, "a sweep of sessions"));
	}

	/** Who comes during one waits for the next: what it missed may have been looked at before. */
	sweep(): Promise<void> {
		return this.#sweeps.ask();
	}

	async #sweep(): Promise<void> {
		const { live, gets, looks, idleMs } = this.#deps;
		await live.sweep(idleMs);
		for (const channel of gets.channels()) {
			try {
				const stored = await looks.look(channel);
				if (stored === undefined) await this.end(channel);
				else gets.refresh(stored);
			} catch (error) {
				// One that cannot be read keeps no other from being looked at.
				this.#failed(error, "a session could not be looked up");
			}
		}
	}

	/** Its record is gone. */
	async end(channel: Channel): Promise<void> {
		this.#deps.gets.end(channel);
		await this.#deps.live.end(channel);
	}

	/**
	 * A request of the client changed the session's record. Resolves when the GET stream knows, so that nothing which
	 * the client hears after its answer is judged by what was before.
	 */
	async changed(stored: StoredSession, message: Ask): Promise<void> {
		const { host, gets, signs, peers } = this.#deps;
		const { channel, facts } = stored;
		gets.refresh(stored);
		const holder = facts.get.instance;
		const isElsewhere = holder !== "" && holder !== host.instanceId;
		const listening = isElsewhere ? await this.#listen() : undefined;
		const sign = listening === undefined ? undefined : signs.once(host.clock, CHANGE_WAIT_MS);
		peers().tellAll({ kind: "changed", session: channel, message, key: sign?.key ?? "" });
		await sign?.seen;
		listening?.stop();
	}

	/** Undefined when no sign would be seen: the change stands all the same. */
	async #listen(): Promise<Listening | undefined> {
		try {
			return await this.#deps.peers().listen();
		} catch (error) {
			this.#failed(error, "this process cannot be told anything");
			return undefined;
		}
	}

	async #hear(word: Word, from: string): Promise<void> {
		const { host, live, gets, signs, logs, peers } = this.#deps;
		const { session: channel } = word;
		const isOwn = from === host.instanceId;
		const session = live.find(channel);
		switch (word.kind) {
			case "reply":
				session?.transport.reply(word.message, {});
				return;
			case "notice":
				if (!isOwn) session?.hear(word.message, {});
				return;
			case "get":
				if (!isOwn) gets.endBefore(channel, word.n);
				return;
			case "ended":
				return this.end(channel);
			case "changed":
				if (!isOwn && (session !== undefined || gets.has(channel))) await this.#changedElsewhere(word, from);
				return;
			case "probe":
				if (logs?.isOpen(word.post) !== true) return;
				return peers().tell(from, { kind: "sign", session: channel, key: word.key });
			case "sign":
				signs.give(word.key);
		}
	}

	async #changedElsewhere({ session: channel, key }: Word & { kind: "changed" }, from: string): Promise<void> {
		const { host, live, gets, looks, peers } = this.#deps;
		const stored = await looks.look(channel);
		if (stored === undefined) return this.end(channel);
		gets.refresh(stored);
		live.find(channel)?.refresh(stored);
		if (stored.facts.get.instance === host.instanceId && key !== "") {
			await peers().tell(from, { kind: "sign", session: channel, key });
		}
	}

	#failed(error: unknown, what: string): void {
		this.#deps.host.report(asFanoutError(error, "TransportUnavailable", what));
	}
}
