/** Pages of a listing. A cursor is the backend's own, under its name, so that one of another backend is refused. */
import { asFanoutError, FanoutError } from "../core/errors.ts";
import type { SessionPage } from "./port.ts";
import { decodeSession, type SessionRecord } from "./record.ts";
import type { Scope, Store, StoredSession } from "./store.ts";

export const DEFAULT_PAGE = 50;
/** A page is at most this many records of at most MAX_RECORD_BYTES each. */
export const MAX_PAGE = 100;
const MAX_CURSOR_LENGTH = 4_096;

function readCursor(store: Store, after: string): string {
	const text = after.length <= MAX_CURSOR_LENGTH ? Buffer.from(after, "base64url").toString() : "";
	const prefix = `${store.name}:`;
	if (text.startsWith(prefix)) return text.slice(prefix.length);
	throw new FanoutError("InvalidCursor", `this is no cursor of the ${store.name} registry`);
}

/** What cannot be read (a release too new) is told and left out: one record must not hide the others. */
function readable(rows: readonly StoredSession[], report: (error: FanoutError) => void): SessionRecord[] {
	return rows.flatMap((row) => {
		try {
			return [decodeSession(row.text, row.version)];
		} catch (error) {
			report(asFanoutError(error, "InvalidRecord", "a session's record cannot be read"));
			return [];
		}
	});
}

export async function readPage(
	store: Store,
	scope: Scope,
	page: { readonly limit?: number; readonly after?: string | undefined },
	report: (error: FanoutError) => void,
	signal: AbortSignal,
): Promise<SessionPage> {
	const { limit = DEFAULT_PAGE, after } = page;
	if (!Number.isSafeInteger(limit) || limit < 1 || limit > MAX_PAGE) {
		throw new FanoutError("InvalidFilter", `a page has 1 to ${MAX_PAGE} sessions`, {
			data: { limit, maxPage: MAX_PAGE },
		});
	}
	const cursor = after === undefined ? undefined : readCursor(store, after);
	const { rows, next } = await store.list(scope, limit, cursor, signal);
	return {
		sessions: readable(rows, report),
		next: next === undefined ? undefined : Buffer.from(`${store.name}:${next}`).toString("base64url"),
	};
}
