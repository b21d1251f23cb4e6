/** How long a ticket lives, as it says itself: only to renew it in time. The server is who verifies it. */

/** Share of a ticket's life after which a new one is asked for. */
const RENEW_AFTER = 0.75;

/**
 * Milliseconds after which a fresh ticket should be renewed; undefined when it does not say how long it lives. By its
 * own length: a clock that is wrong here would make it end at once, again and again, or never.
 */
export function renewalMs(ticket: string): number | undefined {
	try {
		const { iat, exp } = JSON.parse(atob((ticket.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/")));
		const ms = (exp - iat) * 1000 * RENEW_AFTER;
		return Number.isFinite(ms) ? Math.max(1_000, ms) : undefined;
	} catch {
		return undefined; // not a JWT that can be read here: it is renewed by reconnecting, when the server ends it
	}
}
