/**
 * What an nginx.conf of ours says, without nginx: which upstream a request's cookie and header mean, and which servers
 * that is, backups last. And a proxy that acts by it: the first of them that takes the connection and does not refuse.
 */
import { createServer, type IncomingMessage, request } from "node:http";
import type { Proxy as RunningProxy } from "./round-robin.ts";

export interface NginxModel {
	/** What it adds to requests; of those that it sets, only ours. */
	readonly headers: Readonly<Record<string, string>>;
	/** Ports, in the order in which they are tried. */
	route(cookie: string, header: string): readonly number[];
}

interface Rule {
	readonly pattern: RegExp;
	readonly upstream: string;
}

export function readNginx(conf: string): NginxModel {
	const upstreams = new Map<string, { readonly ports: number[]; readonly backups: number[] }>();
	for (const [, name = "", body = ""] of conf.matchAll(/upstream (\w+) \{([^}]*)\}/g)) {
		const servers = [...body.matchAll(/server 127\.0\.0\.1:(\d+)( backup)?;/g)];
		const of = (isBackup: boolean) =>
			servers.filter(([, , backup]) => (backup !== undefined) === isBackup).map(([, port]) => Number(port));
		upstreams.set(name, { ports: of(false), backups: of(true) });
	}
	const [, source = "", body = ""] = /map "([^"]+)" \$preferred \{([^}]*)\}/.exec(conf) ?? [];
	const rules = [...body.matchAll(/"~(.+?)" (\w+);/g)].map(
		([, pattern = "", upstream = ""]): Rule => ({ pattern: new RegExp(pattern), upstream }),
	);
	const fallback = /default (\w+);/.exec(body)?.[1] ?? "";
	const headers = Object.fromEntries(
		[...conf.matchAll(/proxy_set_header (Mcp-[\w-]+) (\w+);/g)].map(([, name = "", value = ""]) => [name, value]),
	);
	let turn = 0;
	return {
		headers,
		route(cookie, header) {
			const text = source.replace(/\$cookie_\w+/, cookie).replace(/\$http_\w+/, header);
			const name = rules.find(({ pattern }) => pattern.test(text))?.upstream ?? fallback;
			const found = upstreams.get(name);
			if (found === undefined) throw new Error(`no upstream ${name}`);
			const first = turn++ % found.ports.length;
			return [...found.ports.slice(first), ...found.ports.slice(0, first), ...found.backups];
		},
	};
}

export async function startModel(model: NginxModel, names: { readonly cookie: string; readonly header: string }) {
	const server = createServer((req, res) => {
		const cookie = new RegExp(`(?:^|; )${names.cookie}=([^;]*)`).exec(req.headers.cookie ?? "")?.[1] ?? "";
		const header = String(req.headers[names.header.toLowerCase()] ?? "");
		const ports = [...model.route(cookie, header)];
		const next = (): void => {
			const port = ports.shift();
			if (port === undefined) {
				res.writeHead(502).end();
				return;
			}
			const { url: path, method } = req;
			const headers = { ...req.headers, ...model.headers };
			const answered = (answer: IncomingMessage) => {
				if (answer.statusCode === 503 && ports.length > 0) {
					answer.resume();
					next();
					return;
				}
				res.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
				res.flushHeaders();
				answer.pipe(res);
			};
			const forward = request({ host: "127.0.0.1", port, path, method, headers }, answered);
			forward.on("error", () => (res.headersSent ? res.destroy() : next()));
			res.on("close", () => forward.destroy());
			forward.end();
		};
		next();
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const address = server.address();
	if (address === null || typeof address === "string") throw new Error("a TCP server has a port");
	const proxy: RunningProxy = {
		url: `http://127.0.0.1:${address.port}`,
		async close() {
			server.closeAllConnections();
			await new Promise((resolve) => server.close(resolve));
		},
	};
	return proxy;
}
