import { FanoutError } from "../core/errors.ts";

export type Breakers = typeof import("./breaker.ts");

/** Breakers stand on cockatiel: who has one transport and asks for none does not need it. */
export async function loadBreakers(): Promise<Breakers> {
	try {
		return await import("./breaker.ts");
	} catch (cause) {
		const message = "breakers need cockatiel, which could not be loaded: install it beside mcp-fanout";
		throw new FanoutError("DependencyMissing", message, { cause, data: { module: "cockatiel" } });
	}
}
