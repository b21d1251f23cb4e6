/** One request of a fleet handler: its scope as the bus sees it, and, when it opened a listen, how long that lasts. */
import type { Channel } from "../core/channel.ts";
import { at, type Clock, type Timer } from "../core/clock.ts";
import type { Identity } from "./identity.ts";
import type { Listen } from "./listen.ts";
import type { RequestScope } from "./request-scope.ts";

export interface RequestHost {
	readonly clock: Clock;
	readonly catchUpMs: number;
	readonly listens: Set<Listen>;
}

export class FleetRequest implements RequestScope {
	readonly tenant: string;
	readonly channels: readonly Channel[];
	listen: Listen | undefined;
	/** Its signal hears of an abort while somebody has it, and whoever serves a listen may have only listened. */
	readonly request: Request;
	readonly #host: RequestHost;
	#expiry: Timer | undefined;

	constructor(request: Request, { tenant, channels }: Identity, host: RequestHost) {
		this.request = request;
		this.tenant = tenant;
		this.channels = channels;
		this.#host = host;
	}

	get catchUpMs(): number {
		return this.#host.catchUpMs;
	}

	monotonic(): number {
		return this.#host.clock.monotonic();
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
		if (expiresAtMs !== undefined) this.#expiry = at(this.#host.clock, expiresAtMs, () => listen.drop());
		return new Response(body, response);
	}
}
