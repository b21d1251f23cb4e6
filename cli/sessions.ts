/** `fanout sessions`: which session is whose, as the registry says. Never what is kept of one: facts and state are content. */
import { parseArgs } from "node:util";
import { createChannel, type Fanout, isFanoutError } from "mcp-fanout";
import type { Registry, SessionRecord, Term, TermState } from "mcp-fanout/sessions";
import { command, type Surroundings } from "./command.ts";
import { EXIT, json, type Output, telling, word } from "./output.ts";
import { ALONE, FILE_FLAG, fileOf, openBeside } from "./whom.ts";

const USAGE = `  sessions [file] [--tenant <id>] [--limit <n>] [--after <cursor>] [--json]
  sessions [file] [--tenant <id>] --session <id> | --count [--json]
      prints who owns which session, one a line: the instance, and how its term is written (live is not yet alive)
      --session  this one; exit code 1 where there is none
      --count    how many there are
      --limit    most of one page, at most 100 (default 50); --after has the cursor of the page before
      --json     as JSON lines: {"session",…}, and {"next"} where there are more`;

const DEFAULT_TENANT = "default";
const MAX_LIMIT = 100;

function callOf(args: readonly string[], environment: NodeJS.ProcessEnv) {
	const { values, positionals } = parseArgs({
		args: [...args],
		allowPositionals: true,
		options: {
			...FILE_FLAG,
			tenant: { type: "string" },
			session: { type: "string" },
			count: { type: "boolean" },
			limit: { type: "string" },
			after: { type: "string" },
			json: { type: "boolean" },
		},
	});
	const { tenant = DEFAULT_TENANT, session, count = false, limit, after, json: isJson = false } = values;
	const isPage = limit !== undefined || after !== undefined;
	if ([session !== undefined, count, isPage].filter(Boolean).length > 1) {
		throw new Error("--session, --count, or a page by --limit and --after");
	}
	const most = limit === undefined ? undefined : Number(limit);
	if (most !== undefined && !(Number.isSafeInteger(most) && most >= 1 && most <= MAX_LIMIT)) {
		throw new Error(`--limit takes an integer from 1 to ${MAX_LIMIT}`);
	}
	const page = { ...(most !== undefined && { limit: most }), ...(after !== undefined && { after }) };
	return { file: fileOf(positionals, environment, values.config), tenant, session, count, page, isJson };
}

type Call = ReturnType<typeof callOf>;

type Told = TermState | "unreadable";

/** Of an owner's term; undefined where nobody owns it. */
type Standing = (owner: Term | undefined) => Promise<Told | undefined>;

/** One that a later release wrote hides no others. */
function unreadable(error: unknown): Told {
	if (isFanoutError(error, "UnknownRecordVersion") || isFanoutError(error, "InvalidRecord")) return "unreadable";
	throw error;
}

/** Each term is asked for once: an instance owns many. */
function standingIn(registry: Registry): Standing {
	const asked = new Map<string, Promise<Told>>();
	return async (owner) => {
		if (owner === undefined) return undefined;
		const found = asked.get(owner.id) ?? registry.standing(owner).catch(unreadable);
		asked.set(owner.id, found);
		return found;
	};
}

/** A record is somebody's: its times may be none. */
function time(ms: number): string {
	const date = new Date(ms);
	return Number.isNaN(date.getTime()) ? String(ms) : date.toISOString();
}

async function lineOf(record: SessionRecord, standing: Standing, isJson: boolean): Promise<string> {
	const { session, principal, owner, epoch, createdAt, touchedAt } = record;
	const term = await standing(owner);
	if (isJson) {
		const said = { session: session.id, principal, owner: owner?.instance, term, leaseMs: owner?.leaseMs };
		return json({ ...said, epoch, createdAt, touchedAt });
	}
	return [
		word(session.id),
		`principal=${principal === undefined ? "-" : word(principal)}`,
		`owner=${owner === undefined ? "-" : word(owner.instance)}`,
		`term=${term ?? "-"}`,
		`epoch=${epoch}`,
		`created=${time(createdAt)}`,
		`touched=${time(touchedAt)}`,
	].join(" ");
}

async function show(fanout: Fanout, { tenant, session, count, page, isJson }: Call, output: Output): Promise<number> {
	const registry = await fanout.sessions.registry();
	if (registry.name === "memory") output.err(`warning: ${ALONE}; sessions are kept in the memory of each`);
	if (count) {
		const sessions = await registry.count(tenant);
		output.out(isJson ? json({ sessions }) : String(sessions));
		return EXIT.fine;
	}
	const standing = standingIn(registry);
	if (session !== undefined) {
		const record = await registry.get(createChannel("session", session, { namespace: registry.namespace, tenant }));
		if (record === undefined) output.err(`no session ${word(session)} of the tenant ${word(tenant)}`);
		else output.out(await lineOf(record, standing, isJson));
		return record === undefined ? EXIT.problems : EXIT.fine;
	}
	const { sessions, next } = await registry.list(tenant, page);
	const lines = await Promise.all(sessions.map((record) => lineOf(record, standing, isJson)));
	for (const line of lines) output.out(line);
	if (next !== undefined) output.out(isJson ? json({ next }) : `more: --after ${next}`);
	return EXIT.fine;
}

async function act(call: Call, { environment, output, signal }: Surroundings): Promise<number> {
	// The registry has connections of its own: a transport that is away need not be one that keeps sessions.
	const more = { follow: false, startup: "degrade", onerror: telling(output) } as const;
	const fanout = await openBeside(call.file, environment, more, signal);
	try {
		return await show(fanout, call, output);
	} finally {
		await fanout.close();
	}
}

export const sessions = command(USAGE, callOf, act);
