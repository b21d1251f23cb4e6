/**
 * One end of a hop through Redis. By hand that is ioredis alone: `bare` PUBLISH, SUBSCRIBE and res.write, no log; `hand`
 * the same hops with a log, in one script, since what is published must carry the entry's id for a client to resume from
 * it (an XADD and a PUBLISH in a transaction cannot). Neither knows an id that comes twice, a lost end or a lost log.
 * Their logs never expire, and they send no heartbeats. `socket.io` is its server with the redis-streams adapter and
 * recovery on: its emit is not acknowledged to the caller. `fanout` does it with everything.
 */
import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-streams-adapter";
import { Redis } from "ioredis";
import { Server } from "socket.io";
import { SSE_HEADERS } from "../../lambda/layer/src/core/sse.ts";
import { fanoutEnds, type HopEnds, METHOD, paramsOf, runHop } from "./hop.ts";

const [role = "", kind = "", url = "", streams] = process.argv.slice(2);
const STORE_AND_PUBLISH = `
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', 1000, '*', 'v', ARGV[1])
redis.call('PUBLISH', KEYS[2], id .. ' ' .. ARGV[1])
return id`;
const RECOVERY = { connectionStateRecovery: {}, transports: ["websocket" as const] };

/** The library's answers as version 5 gave them, for those who were written for it. */
const connect = () => new Redis(url, { replyMapping: "legacy" });

const byHand: HopEnds = {
	async sender() {
		const redis = connect();
		const sha = String(await redis.script("LOAD", STORE_AND_PUBLISH));
		return (stream, t) => {
			const json = JSON.stringify({ jsonrpc: "2.0", method: METHOD, params: paramsOf(t) });
			if (kind === "bare") return redis.publish(`hand:${stream}`, `0-0 ${json}`);
			return redis.evalsha(sha, 2, `log:${stream}`, `hand:${stream}`, json);
		};
	},
	async server() {
		const redis = connect();
		const open = new Map<string, (id: string, json: string) => void>();
		redis.on("message", (channel: string, text: string) => {
			const end = text.indexOf(" ");
			open.get(channel)?.(text.slice(0, end), text.slice(end + 1));
		});
		return createServer(async (req, res) => {
			const channel = `hand:${req.url?.slice(1)}`;
			await redis.subscribe(channel);
			open.set(channel, (id, json) => res.write(`id: ${id}\ndata: ${json}\n\n`));
			res.writeHead(200, SSE_HEADERS);
			res.write("event: cursor\nid: 0-0\ndata: \n\n");
		});
	},
};

const socketIo: HopEnds = {
	async sender() {
		const io = new Server({ ...RECOVERY, adapter: createAdapter(connect()) });
		return (stream, t) => io.to(String(stream)).emit("message", { method: METHOD, params: paramsOf(t) });
	},
	async server() {
		const server = createServer();
		const io = new Server(server, { ...RECOVERY, pingInterval: 600_000, adapter: createAdapter(connect()) });
		io.on("connection", (socket) => socket.join(String(socket.handshake.query.n)));
		return server;
	},
};

const ends = kind === "fanout" ? fanoutEnds({ redis: { url } }) : kind === "socket.io" ? socketIo : byHand;
await runHop(role, Number(streams), ends);
