/** What MCP sessions get of the fanout: its registry, its channels and its client streams. */
import type { Channel } from "./core/channel.ts";
import type { Clock } from "./core/clock.ts";
import { emptySince, encodeLane, laneTag, NO_LANES } from "./core/cursor.ts";
import { FanoutError } from "./core/errors.ts";
import type { Message } from "./core/message.ts";
import type { Engine } from "./deliver/engine.ts";
import { openFeed } from "./deliver/feed.ts";
import type { SessionHost } from "./mcp/session/host.ts";
import { controlTransport } from "./outgoing.ts";
import type { Sessions } from "./sessions/sessions.ts";
import type { Hub } from "./stream/hub.ts";
import { openResponse } from "./stream/response.ts";

export interface SessionHostParts {
	readonly namespace: string;
	readonly instanceId: string;
	readonly clock: Clock;
	readonly sessions: Sessions;
	readonly engines: readonly Engine[];
	readonly hub: Hub;
	report(error: FanoutError): void;
	publish(channel: Channel, message: Message): Promise<unknown>;
}

export function createSessionHost(parts: SessionHostParts): SessionHost {
	const { namespace, instanceId, clock, sessions, engines, hub, report, publish } = parts;
	const feedDeps = { engines, clock, report };

	/** Control addresses are on one transport only. */
	function openControl(): { readonly engines: readonly Engine[]; readonly clock: Clock; report: typeof report } {
		const name = controlTransport(engines.map(({ transport }) => transport))?.name;
		const heard = engines.filter(({ transport }) => transport.name === name);
		if (heard.length > 0) return { ...feedDeps, engines: heard };
		throw new FanoutError("ConfigInvalid", "sessions need a process that follows: this fanout only publishes now");
	}

	return {
		namespace,
		instanceId,
		clock,
		report,
		registry: () => sessions.registry(),
		claim: (session, opening) => sessions.claim(session, opening),
		publish,
		openFeed(request, sink) {
			const isControl = request.channels.every(({ kind }) => kind === "instance");
			return openFeed(isControl ? openControl() : feedDeps, request, sink);
		},
		openStream(request, { spelling, uris, ...opening }) {
			return openResponse(hub, request, { ...opening, filter: { uris }, encoding: spelling });
		},
		async cursorOf(fresh, standing) {
			const nothing = { deliver() {}, mark() {}, cursor() {}, end() {} };
			const feed = openFeed(feedDeps, { channels: standing }, nothing);
			try {
				await feed.opened;
				const since = emptySince(clock.now());
				const lanes = engines.map(({ place }) => encodeLane(laneTag(fresh), place, since));
				return (feed.cursor || NO_LANES) + lanes.join("");
			} finally {
				feed.close();
			}
		},
	};
}
