/** A connected client of the same place for whoever else keeps something there: the session registry. */
import type { Clock } from "../../core/clock.ts";
import { type Client, createDialler } from "./client.ts";
import { endpointOf, type RedisOptions, resolveSettings } from "./options.ts";
import { waitReady } from "./server.ts";

export async function dialRedis(
	options: RedisOptions,
	{ clock, random }: { readonly clock: Clock; readonly random: () => number },
	onerror: (error: unknown) => void,
	signal: AbortSignal,
): Promise<Client> {
	const { connectTimeoutMs } = resolveSettings(options);
	const client = createDialler(options, connectTimeoutMs, random).commands();
	client.on("error", onerror);
	try {
		await waitReady(client, endpointOf(options), connectTimeoutMs, clock, signal);
	} catch (error) {
		client.disconnect();
		throw error;
	}
	return client;
}
