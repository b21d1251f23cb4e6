/** Issues tickets of the own region's cell; its key is fetched when a ticket is asked for, and kept for minutes. */
import { ENV } from "../../config/env-names.ts";
import { type Channel, DEFAULT_TENANT } from "../../core/channel.ts";
import type { Clock } from "../../core/clock.ts";
import { FanoutError } from "../../core/errors.ts";
import type { AwsOptions } from "./options.ts";
import { createAwsClients } from "./sdk.ts";
import { issueTicket, loadTicketKey } from "./ticket.ts";

export interface TicketScope {
	readonly namespace: string;
	readonly channels: readonly Channel[];
	readonly principal?: string | undefined;
	readonly ttlSeconds?: number | undefined;
}

export async function issueCellTicket(options: AwsOptions, clock: Clock, scope: TicketScope): Promise<string> {
	const environment = options.environment ?? process.env;
	const region = options.region ?? environment.AWS_REGION ?? process.env.AWS_REGION;
	const secretId = environment[ENV.ticketSecret];
	if (!region || !secretId) throw new FanoutError("ConfigInvalid", `tickets need AWS_REGION and ${ENV.ticketSecret}`);
	const endpoint = options.endpoint ?? environment.AWS_ENDPOINT_URL ?? process.env.AWS_ENDPOINT_URL;
	const clients = options.clients ?? createAwsClients({ region, endpoint });
	try {
		const key = await loadTicketKey(clients.secrets(), secretId, clock);
		const { namespace, channels, principal, ttlSeconds } = scope;
		const tenant = channels[0]?.tenant ?? DEFAULT_TENANT;
		return await issueTicket(
			key,
			{ namespace, tenant, principal, channels: channels.map((channel) => channel.key), ttlSeconds },
			clock,
		);
	} finally {
		if (options.clients === undefined) clients.close();
	}
}
