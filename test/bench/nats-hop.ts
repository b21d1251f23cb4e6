/**
 * One end of a hop through NATS. By hand that is the client library alone, over the same path: `bare` core publish and
 * subscribe without a log, `hand` js.publish into a stream and a subscription to what it republishes; both res.write.
 * `fanout` does it with everything. All frame alike.
 */
import { createServer } from "node:http";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { SSE_HEADERS } from "../../lambda/layer/src/core/sse.ts";
import type { NatsOptions } from "../../lambda/layer/src/transports/nats/index.ts";
import { fanoutEnds, type HopEnds, METHOD, paramsOf, runHop } from "./hop.ts";

const [role = "", kind = "", settings = "{}", streams] = process.argv.slice(2);
const options = JSON.parse(settings) as NatsOptions & { readonly servers: string[] };

const byHand: HopEnds = {
	async sender() {
		const nc = await connect({ servers: options.servers });
		const republish = { src: "hand.>", dest: "hand-live.>" };
		if (kind === "hand") {
			const { storage = "memory", replicas: num_replicas = 1 } = options;
			const jsm = await jetstreamManager(nc, { timeout: 10_000 });
			await jsm.streams.add({ name: "hand", subjects: ["hand.>"], storage, num_replicas, republish });
		}
		const js = jetstream(nc);
		let count = 0;
		return (stream, t) => {
			const json = JSON.stringify({ jsonrpc: "2.0", method: METHOD, params: paramsOf(t) });
			count += 1;
			if (kind === "hand") return js.publish(`hand.${stream}`, json, { msgID: `${process.pid}-${count}` });
			return nc.publish(`hand-live.${stream}`, json);
		};
	},
	async server() {
		const nc = await connect({ servers: options.servers });
		let sequence = 1_000_000;
		return createServer((req, res) => {
			nc.subscribe(`hand-live.${req.url?.slice(1)}`, {
				callback(error, msg) {
					if (error !== null) throw error;
					sequence += 1;
					res.write(`id: 1ABCDEFGHIJKLMNOPQ${sequence}\ndata: ${msg.string()}\n\n`);
				},
			});
			res.writeHead(200, SSE_HEADERS);
			res.write("event: cursor\nid: 1ABCDEFGHIJKLMNOPQ1000000\ndata: \n\n");
		});
	},
};

await runHop(role, Number(streams), kind === "fanout" ? fanoutEnds({ nats: options }) : byHand);
