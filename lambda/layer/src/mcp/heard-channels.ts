/** The channels that this process's listens hear, each once however many listen; closed with the last that holds it. */
import { type Channel, isEveryTenant } from "../core/channel.ts";
import type { Envelope } from "../core/envelope.ts";
import { FanoutError } from "../core/errors.ts";
import { HeardChannel, type HeardDeps } from "./heard-channel.ts";

export class HeardChannels {
	readonly #deps: HeardDeps;
	readonly #channels = new Map<string, HeardChannel>();
	#closed = false;

	constructor(deps: HeardDeps) {
		this.#deps = deps;
	}

	/** Give it back with `release`. */
	acquire(channel: Channel): HeardChannel {
		if (this.#closed) throw new FanoutError("Closed", "the fanout is closed");
		let heard = this.#channels.get(channel.key);
		if (heard === undefined) {
			heard = new HeardChannel(channel, this.#deps);
			this.#channels.set(channel.key, heard);
		}
		heard.users += 1;
		return heard;
	}

	release(heard: HeardChannel): void {
		heard.users -= 1;
		if (heard.users > 0) return;
		heard.close();
		const { key } = heard.channel;
		// After a `clear` another one may stand there.
		if (this.#channels.get(key) === heard) this.#channels.delete(key);
	}

	/** Offers an early copy to whoever hears its channel here. */
	early(envelope: Envelope): void {
		if (!isEveryTenant(envelope.channel)) this.#channels.get(envelope.channel.key)?.early(envelope);
		else for (const heard of this.#channels.values()) if (heard.channel.kind === "all") heard.early(envelope);
	}

	/** Closes what is there; what comes later is opened anew. */
	clear(): void {
		for (const heard of this.#channels.values()) heard.close();
		this.#channels.clear();
	}

	close(): void {
		this.#closed = true;
		this.clear();
	}
}
