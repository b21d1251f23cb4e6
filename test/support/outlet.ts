/** A connection that takes so many writes before it pushes back, and what it was told. */
import type { Outlet } from "../../lambda/layer/src/core/outlet.ts";

export interface ScriptedOutlet extends Outlet {
	takes: number;
	readonly said: string[];
}

export function scriptOutlet(takes = Number.POSITIVE_INFINITY): ScriptedOutlet {
	const said: string[] = [];
	return {
		takes,
		said,
		write(text) {
			said.push(text);
			this.takes -= 1;
			return this.takes > 0;
		},
		ending: () => void said.push("ending"),
		end: () => void said.push("ended"),
		fail: (error) => void said.push(`failed: ${(error as Error).message}`),
	};
}
