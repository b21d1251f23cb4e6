/** What a ticket's channels ask of one client stream: at most one session and one principal, as tickets are issued. */
import { type Channel, isEveryTenant, parseChannel } from "../../../core/channel.ts";
import { FanoutError } from "../../../core/errors.ts";
import type { Claims } from "../ticket.ts";

export interface ClaimedStream {
	readonly tenant: string;
	readonly session?: string;
	readonly principal?: string;
	readonly topics: readonly string[];
	readonly all: boolean;
	readonly everyTenant: boolean;
}

export function streamOf({ channels, tenant }: Claims): ClaimedStream {
	const named = channels.map(parseChannel);
	const parsed = named.filter((channel) => !isEveryTenant(channel));
	if (parsed.some((channel) => channel.tenant !== tenant)) {
		throw new FanoutError("InvalidChannel", "a stream's channels are of one tenant");
	}
	const ids = (kind: Channel["kind"]) => parsed.filter((channel) => channel.kind === kind).map(({ id }) => id);
	const one = (kind: "session" | "principal") => {
		const [id, ...more] = ids(kind);
		if (more.length > 0)
			throw new FanoutError("TooManyChannels", `a stream follows one ${kind}, not ${more.length + 1}`);
		return id === undefined ? {} : { [kind]: id };
	};
	const all = ids("all").length > 0;
	const everyTenant = named.length > parsed.length;
	return { tenant, ...one("session"), ...one("principal"), topics: ids("topic"), all, everyTenant };
}
