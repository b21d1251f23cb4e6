/** `npm run bench -- <name>`: each bench prints its own table and fails when a target is missed. */
const BENCHES: Readonly<Record<string, () => Promise<{ run(args: readonly string[]): Promise<boolean> }>>> = {
	import: () => import("./import.ts"),
	local: () => import("./local.ts"),
	mcp: () => import("./mcp.ts"),
	nats: () => import("./nats.ts"),
	"nats-hops": () => import("./nats-hops.ts"),
	"nats-resume": () => import("./nats-resume.ts"),
	outage: () => import("./outage.ts"),
	redis: () => import("./redis.ts"),
	route: () => import("./route.ts"),
	sessions: () => import("./sessions.ts"),
};

const [name = "", ...args] = process.argv.slice(2);
const load = BENCHES[name];
if (load === undefined) {
	console.error(`usage: npm run bench -- ${Object.keys(BENCHES).join(" | ")}`);
	process.exitCode = 2;
} else {
	const bench = await load();
	process.exitCode = (await bench.run(args)) ? 0 : 1;
}
