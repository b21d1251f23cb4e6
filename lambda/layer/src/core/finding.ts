/** What an operator's look at one part of a fleet found; a line of it. It holds no secret and nothing that was notified. */
export interface Finding {
	/** `warn`: it works, and is probably not meant. `fail`: something is not heard, or is lost, because of it. */
	readonly state: "ok" | "warn" | "fail";
	readonly found: string;
	/** What to do about it. */
	readonly todo?: string | undefined;
}

export type Tell = (state: Finding["state"], found: string, todo?: string) => void;

/** So much of a list that one line can say. */
export function some(items: readonly string[], most = 5): string {
	const rest = items.length - most;
	return rest > 0 ? `${items.slice(0, most).join(", ")} and ${rest} more` : items.join(", ");
}

export function messageOf(error: unknown): string {
	return error instanceof Error ? error.message : String(error);
}
