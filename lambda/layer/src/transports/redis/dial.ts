/** A connected client of the same place for whoever else keeps something there: the session registry. */
import { bare } from "../../core/errors.ts";
import { type Client, createDialler, type DiallerParts } from "./client.ts";
import { endpointOf, type RedisOptions, resolveSettings } from "./options.ts";
import { waitReady } from "./server.ts";

export async function dialRedis(
	options: RedisOptions,
	parts: DiallerParts,
	onerror: (error: unknown) => void,
	signal: AbortSignal,
): Promise<Client> {
	const { connectTimeoutMs } = resolveSettings(options);
	const client = createDialler(options, connectTimeoutMs, parts).commands();
	client.on("error", (error) => onerror(bare(error)));
	try {
		await waitReady(client, endpointOf(options), connectTimeoutMs, parts.clock, signal);
	} catch (error) {
		client.disconnect();
		throw error;
	}
	return client;
}
