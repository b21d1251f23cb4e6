/** A connection's side of a cell's frames, and tickets for it. The world is asked for at each call: suites start it late. */
import { randomUUID } from "node:crypto";
import type { Api, ConnectionMeta } from "../../lambda/layer/src/transports/aws/cell/connections.ts";
import { answerFrame, type FramePorts } from "../../lambda/layer/src/transports/aws/cell/frames.ts";
import {
	type Claims,
	createTicketKey,
	issueTicket,
	verifyTicket,
} from "../../lambda/layer/src/transports/aws/ticket.ts";
import { decodeServerFrame, encodeClientFrame, type ServerFrame } from "../../lambda/layer/src/transports/aws/wire.ts";
import type { World } from "./aws-cell-world.ts";

export const REGION = "us-east-1";
export const key = createTicketKey("secret");
export const namespace = "default";

export function createCaller(world: () => World) {
	function framePorts(): FramePorts {
		const { clock } = world();
		const connections = world().connections();
		return {
			namespace,
			region: REGION,
			clock,
			connections,
			log: world().log(),
			home: world().home(REGION),
			report: () => {},
			key: async () => key,
		};
	}

	async function connect(api: Api, claims?: Claims): Promise<ConnectionMeta> {
		const id = randomUUID();
		await world().connections().open({ id, api }, claims);
		return (await world().connections().meta(id)) as ConnectionMeta;
	}

	const ask = async (
		meta: ConnectionMeta,
		frame: Parameters<typeof encodeClientFrame>[0] | string,
	): Promise<ServerFrame> =>
		decodeServerFrame(
			await answerFrame(framePorts(), meta, typeof frame === "string" ? frame : encodeClientFrame(frame)),
		);

	const claimsFor = async (channels: string[], ttlSeconds = 600, principal = "u1") =>
		verifyTicket(
			key,
			await issueTicket(key, { namespace, tenant: "default", principal, channels, ttlSeconds }, world().clock),
			{
				namespace,
				clock: world().clock,
			},
		);

	return { connect, ask, claimsFor };
}
