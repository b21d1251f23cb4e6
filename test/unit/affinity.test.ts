import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { parse } from "yaml";
import { AFFINITY_COOKIE, AFFINITY_HEADER, createAffinity } from "../../lambda/layer/src/affinity.ts";
import { createFanout, type Fanout } from "../../lambda/layer/src/fanout.ts";
import { readNginx, startModel } from "../support/nginx-model.ts";

const example = (name: string) => readFileSync(join(import.meta.dirname, "../../examples/affinity", name), "utf8");
const names = { cookie: AFFINITY_COOKIE, header: AFFINITY_HEADER };
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
	for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function startInstance(label: string): Promise<{ readonly fanout: Fanout; readonly port: number }> {
	const fanout = await createFanout({ local: {}, affinity: { label, secure: false } });
	const server: Server = createServer((req, res) => void fanout.sse(req, res, { session: "one" }));
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	cleanups.push(async () => {
		await fanout.close();
		server.closeAllConnections();
		await new Promise((resolve) => server.close(resolve));
	});
	return { fanout, port: (server.address() as AddressInfo).port };
}

/** Opens a stream, and says who answered; keeps cookies as browsers do. */
function createVisitor(url: string, keepsCookies: boolean) {
	let cookie = "";
	return async (headers: Record<string, string> = {}): Promise<string | null> => {
		const stop = new AbortController();
		const response = await fetch(url, { signal: stop.signal, headers: { ...headers, ...(cookie && { cookie }) } });
		expect(response.status).toBe(200);
		const [set] = response.headers.getSetCookie();
		if (keepsCookies && set !== undefined) cookie = set.includes("Max-Age=0") ? "" : (set.split(";")[0] ?? "");
		stop.abort();
		return response.headers.get(AFFINITY_HEADER);
	};
}

test("behind the nginx of the example a client stays where it was, and goes on elsewhere when that drains", async () => {
	const [a, b] = [await startInstance("a"), await startInstance("b")];
	const conf = example("nginx.conf").replaceAll(":3001", `:${a.port}`).replaceAll(":3002", `:${b.port}`);
	const proxy = await startModel(readNginx(conf), names);
	cleanups.push(() => proxy.close());
	const stays = createVisitor(proxy.url, true);
	const first = await stays();
	for (let n = 0; n < 5; n += 1) expect(await stays()).toBe(first);
	const roams = createVisitor(proxy.url, false);
	const met = new Set([await roams(), await roams(), await roams()]);
	expect(met).toEqual(new Set(["a", "b"]));
	for (const label of ["a", "b"]) expect(await roams({ [AFFINITY_HEADER]: label })).toBe(label);
	await (first === "a" ? a : b).fanout.drain({ graceMs: 100 });
	const second = await stays();
	expect(second).toBe(first === "a" ? "b" : "a");
	expect(await stays()).toBe(second);
});

test("labels are opaque: made up at each start where none is given, and never an address", () => {
	const made = ["one", "two"].map((id) => createAffinity({}, id, () => true).label);
	expect(new Set(made).size).toBe(2);
	for (const label of made) expect(label).toMatch(/^[\w-]{16}$/);
	for (const label of ["10.0.0.1", "host:80", "a b", ""]) {
		expect(() => createAffinity({ label }, "id", () => true)).toThrow(/affinity.label is/);
	}
	expect(() => createAffinity({ cookie: "a;b" }, "id", () => true)).toThrow(/affinity.cookie/);
});

test("answers name the instance beside their own headers, and take the name back in a drain", async () => {
	let isReady = true;
	const affinity = createAffinity({ label: "a" }, "id", () => isReady);
	const response = affinity.mark(new Response("", { headers: { "Set-Cookie": "own=1" } }));
	expect(response.headers.get(AFFINITY_HEADER)).toBe("a");
	expect(response.headers.getSetCookie()).toEqual([
		"own=1",
		`${AFFINITY_COOKIE}=a; Path=/; HttpOnly; SameSite=Lax; Secure`,
	]);
	isReady = false;
	const later = affinity.mark(new Response(""));
	expect(later.headers.get(AFFINITY_HEADER)).toBeNull();
	expect(later.headers.getSetCookie()[0]).toContain(`${AFFINITY_COOKIE}=; Max-Age=0`);
	// Headers that cannot be changed leave the answer as it is.
	expect(affinity.mark(Response.error()).type).toBe("error");
	const fanout = await createFanout({ affinity: { label: "web" } });
	cleanups.push(() => fanout.close());
	const stream = fanout.response(new Request("http://x/"), { session: "one" });
	expect(stream.headers.get(AFFINITY_HEADER)).toBe("web");
	expect((await createFanout({}).then((plain) => plain.close().then(() => plain))).affinity).toBeUndefined();
});

interface Cluster {
	readonly name: string;
	readonly health_checks?: unknown;
}

interface Route {
	readonly match: {
		readonly headers?: readonly { readonly string_match: { readonly safe_regex?: { readonly regex: string } } }[];
	};
	readonly route: { readonly cluster: string };
}

test("the Envoy example reads: each label's cookie and header lead to its own cluster first, then to the others", () => {
	const { listeners, clusters } = parse(example("envoy.yaml")).static_resources;
	const { route_config: routing } = listeners[0].filter_chains[0].filters[0].typed_config;
	const rules = routing.virtual_hosts[0].routes as readonly Route[];
	const byName = new Map((clusters as readonly Cluster[]).map((cluster) => [cluster.name, cluster]));
	for (const label of ["a", "b"]) {
		const matches = rules.filter(({ route }) => route.cluster === `prefer_${label}`).map(({ match }) => match);
		const [cookie, header] = matches as [Route["match"], Route["match"]];
		const regex = new RegExp(`^(?:${cookie.headers?.[0]?.string_match.safe_regex?.regex})$`);
		for (const given of [`${AFFINITY_COOKIE}=${label}`, `x=1; ${AFFINITY_COOKIE}=${label}; y=2`])
			expect(given).toMatch(regex);
		for (const other of [`${AFFINITY_COOKIE}=${label}x`, `other_${AFFINITY_COOKIE}=${label}`])
			expect(other).not.toMatch(regex);
		expect(header.headers).toEqual([{ name: AFFINITY_HEADER.toLowerCase(), string_match: { exact: label } }]);
		const prefer = JSON.stringify(byName.get(`prefer_${label}`));
		expect(prefer).toContain(`"clusters":["instance_${label}","instance_${label === "a" ? "b" : "a"}"]`);
	}
	for (const { route } of rules) expect(byName.has(route.cluster)).toBe(true);
	for (const name of ["instance_a", "instance_b", "fleet"]) {
		expect(JSON.stringify(byName.get(name)?.health_checks)).toContain('"path":"/health"');
	}
});
