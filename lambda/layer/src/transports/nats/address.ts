/**
 * Addresses of servers as NATS writes them: `[nats://|tls://][user:password@|token@]host[:port]`. Its client takes no
 * login from one, and a password of digits for the port, so the login is taken out here. What is refused is not repeated:
 * it may hold a password.
 */
import { FanoutError } from "../../core/errors.ts";

export interface Login {
	readonly token?: string | undefined;
	readonly user?: string | undefined;
	readonly password?: string | undefined;
}

export interface Addresses {
	/** Without logins. */
	readonly servers: readonly string[];
	/** For all of them; those that name one name the same. */
	readonly login: Login | undefined;
}

/** A login goes up to the last @, whatever a password that was not encoded holds. */
const ADDRESS = /^([a-z]+:\/\/)?(?:(.*)@)?([^@]+)$/is;

const SCHEME = /^(?:nats:\/\/|tls:\/\/)?$/i;

export function readAddresses(texts: readonly string[]): Addresses {
	const found = texts.map(readAddress);
	const logins = new Set(found.flatMap(({ login }) => (login === undefined ? [] : JSON.stringify(login))));
	if (logins.size > 1) throw refused("name several logins: name one");
	return { servers: found.map(({ server }) => server), login: found.find(({ login }) => login)?.login };
}

function readAddress(text: string): { readonly server: string; readonly login: Login | undefined } {
	const [, scheme = "", login, place] = ADDRESS.exec(text) ?? [];
	if (place === undefined || !SCHEME.test(scheme) || !URL.canParse(`nats://${place}`)) {
		throw refused("are [nats://|tls://][user:password@|token@]host[:port] each");
	}
	return { server: `${scheme}${place}`, login: login === undefined ? undefined : readLogin(login) };
}

function readLogin(text: string): Login {
	const colon = text.indexOf(":");
	try {
		if (colon < 0) return { token: decodeURIComponent(text) };
		return { user: decodeURIComponent(text.slice(0, colon)), password: decodeURIComponent(text.slice(colon + 1)) };
	} catch {
		throw refused("have their login percent-encoded");
	}
}

function refused(what: string): FanoutError {
	return new FanoutError("ConfigInvalid", `nats.servers ${what}`, { data: { name: "nats.servers" } });
}
