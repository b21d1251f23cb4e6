/** The demo's ways of publishing: a tool call on a server process, one on Lambda, an EventBridge event; to all or one. */
import { EventBridgeClient, PutEventsCommand } from "@aws-sdk/client-eventbridge";
import type { Cell } from "../support/cell.ts";
import { PREFIX } from "../support/deploy.ts";
import type { Emulator } from "../support/emulator.ts";
import type { Fleet, Site } from "../support/fleet.ts";
import { callMcp } from "../support/mcp-client.ts";
import { ALL, BOARD, sessionOf } from "./clients.ts";
import type { Note } from "./tally.ts";

export interface Way {
	readonly name: string;
	readonly channel: string;
	readonly kinds: Note["kinds"];
	/** Set where the order of its calls is promised: one publisher, one session. */
	readonly publisher?: string;
	/** Publishes the note; resolves when it is accepted. */
	publish(note: string): Promise<void>;
	close(): Promise<void>;
}

export async function openWays(emulator: Pick<Emulator, "env">, fleet: Fleet): Promise<Way[]> {
	const ways = await Promise.all(
		fleet.sites.map(async (site, index) => {
			const other = fleet.sites[(index + 1) % fleet.sites.length] as Site;
			return [
				await updateWay(`server ${site.cell.region}`, `${site.url}/mcp`),
				await updateWay(`Lambda ${site.cell.region}`, site.cell.mcpServerUrl),
				eventWay(emulator, site.cell),
				await sessionWay(site, other),
			];
		}),
	);
	return ways.flat();
}

/** A real MCP client calls the tool `update`, on the servers behind one address or on Lambda. */
async function updateWay(name: string, url: string): Promise<Way> {
	const caller = await callMcp(url);
	return {
		name,
		channel: ALL,
		kinds: ["mcp", "sse", "ws"],
		publish: async (note) => void (await caller.call("update", { uri: BOARD, note })),
		close: () => caller.close(),
	};
}

/** To a session whose clients are in the other region. One process publishes: the order of its calls is promised. */
async function sessionWay(site: Site, other: Site): Promise<Way> {
	const caller = await callMcp(`${site.processUrls[0]}/mcp`);
	const session = sessionOf(other);
	return {
		name: `server ${site.cell.region} to session in ${other.cell.region}`,
		channel: session,
		kinds: ["sse", "ws"],
		publisher: site.cell.region,
		publish: async (note) => void (await caller.call("notify", { session, text: note })),
		close: () => caller.close(),
	};
}

function eventWay(emulator: Pick<Emulator, "env">, cell: Cell): Way {
	const { AWS_ACCESS_KEY_ID: accessKeyId = "", AWS_SECRET_ACCESS_KEY: secretAccessKey = "" } = emulator.env;
	const client = new EventBridgeClient({
		region: cell.region,
		endpoint: emulator.env.AWS_ENDPOINT_URL as string,
		credentials: { accessKeyId, secretAccessKey },
	});
	return {
		name: `EventBridge ${cell.region}`,
		channel: ALL,
		kinds: ["mcp", "sse", "ws"],
		async publish(note) {
			const params = { uri: BOARD, _meta: { "example/note": note } };
			const entry = {
				EventBusName: `${PREFIX}-bus`,
				Source: "mcp.framework",
				DetailType: "Session Notification",
				Detail: JSON.stringify({ all: true, method: "notifications/resources/updated", params }),
			};
			const { FailedEntryCount: failed } = await client.send(new PutEventsCommand({ Entries: [entry] }));
			if (failed !== 0) throw new Error(`EventBridge in ${cell.region} refused the event`);
		},
		close: async () => client.destroy(),
	};
}
