/** When a ticket ends, as it says itself: only to renew it in time. The server is who verifies it. */

/** Share of what is left of a ticket's life after which a new one is asked for. */
const RENEW_AFTER = 0.75;

/** Milliseconds from now until the ticket should be renewed; undefined when it does not say when it ends. */
export function renewalMs(ticket: string, nowMs: number): number | undefined {
	try {
		const claims = JSON.parse(atob((ticket.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/")));
		return typeof claims.exp === "number" ? Math.max(1_000, (claims.exp * 1000 - nowMs) * RENEW_AFTER) : undefined;
	} catch {
		return undefined; // not a JWT that can be read here: it is renewed by reconnecting, when the server ends it
	}
}
