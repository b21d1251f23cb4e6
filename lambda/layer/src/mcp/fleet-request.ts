/**
 * One request of a fleet handler: its scope as the bus sees it, and, when it opened a listen, how long that lasts.
 * A timer of Node's waits 25 days at most; an authorisation may be longer.
 */
import type { Channel } from "../core/channel.ts";
import type { Clock, Timer } from "../core/clock.ts";
import type { Identity } from "./identity.ts";
import type { Listen } from "./listen.ts";
import type { RequestScope } from "./request-scope.ts";

const MAX_TIMER_MS = 2 ** 31 - 1;

export interface RequestHost {
	readonly clock: Clock;
	readonly catchUpMs: number;
	readonly listens: Set<Listen>;
}

export class FleetRequest implements RequestScope {
	readonly tenant: string;
	readonly channels: readonly Channel[];
	listen: Listen | undefined;
	readonly #host: RequestHost;
	#expiry: Timer | undefined;

	constructor({ tenant, channels }: Identity, host: RequestHost) {
		this.tenant = tenant;
		this.channels = channels;
		this.#host = host;
	}

	get catchUpMs(): number {
		return this.#host.catchUpMs;
	}

	now(): number {
		return this.#host.clock.now();
	}

	closed(listen: Listen): void {
		this.#expiry?.cancel();
		this.#host.listens.delete(listen);
	}

	/** The response that carries the listen; it is dropped at `expiresAtMs`. */
	carry(response: Response, expiresAtMs: number | undefined): Response {
		const { listen } = this;
		if (listen === undefined || response.body === null) return response;
		this.#host.listens.add(listen);
		const body = listen.carry(response.body);
		if (expiresAtMs !== undefined) this.#expire(listen, expiresAtMs);
		return new Response(body, response);
	}

	#expire(listen: Listen, atMs: number): void {
		const { clock } = this.#host;
		const left = atMs - clock.now();
		if (left <= 0) listen.drop();
		else this.#expiry = clock.after(Math.min(left, MAX_TIMER_MS), () => this.#expire(listen, atMs));
	}
}
