/** One process of a fleet under load, driven by its parent: holds SSE streams, publishes when it is told, weighs itself. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { FanoutOptions } from "../../lambda/layer/src/config/options.ts";
import { createFanout } from "../../lambda/layer/src/fanout.ts";
import { type HopOrder, METHOD, paramsOf, sendAll } from "../bench/hop.ts";
import { collected } from "../bench/memory.ts";

export interface Setting {
	readonly name: string;
	readonly options: FanoutOptions;
}

export type Order =
	| { readonly do: "weigh" }
	/** To sessions of all instances in turn. */
	| ({ readonly do: "publish"; readonly instances: readonly string[]; readonly sessions: number } & HopOrder);

export interface Answer {
	/** Bytes; where `weigh` was ordered. */
	readonly rss: number;
}

const { name, options } = JSON.parse(process.argv[2] ?? "") as Setting;

/** The sessions of an instance are numbered by the clients that open them. */
export const sessionOf = (instance: string, number: number | string): string => `${instance}-${number}`;

const fanout = await createFanout({ ...options, streams: { maxStreams: 100_000 } });
const server = createServer((req, res) => {
	fanout.sse(req, res, { session: sessionOf(name, req.url?.slice(1) ?? ""), all: false });
});

async function obey(order: Order): Promise<Answer> {
	if (order.do === "weigh") return collected();
	const { instances, sessions } = order;
	const send = (stream: number, t: string) => {
		const instance = instances[stream % instances.length] as string;
		const session = sessionOf(instance, Math.floor(stream / instances.length));
		return fanout.to({ session }).send({ method: METHOD, params: paramsOf(t) });
	};
	await sendAll(send, sessions, order);
	return { rss: 0 };
}

process.on("message", (order: Order) => obey(order).then((answer) => process.send?.(answer)));
process.on("disconnect", () => process.exit(0));
server.listen(0, "127.0.0.1", 4096, () => process.send?.((server.address() as AddressInfo).port));
