/**
 * What an operator's check looks at: the rules, each enabled transport, the files and the session registry, all at the
 * same time and each under the deadline that a start has. Nothing is made or published that a start would not make.
 */
import { explain, inForce } from "./config/explain.ts";
import { type FanoutOptions, type FanoutSettings, resolveOptions } from "./config/options.ts";
import { DEFAULT_TENANT } from "./core/channel.ts";
import { systemClock } from "./core/clock.ts";
import { withDeadline } from "./core/deadline.ts";
import { type FanoutError, isFanoutError } from "./core/errors.ts";
import { examineFile } from "./core/file-finding.ts";
import { type Finding, messageOf, type Tell } from "./core/finding.ts";
import { createIds } from "./core/ids.ts";
import { openStore, storeName } from "./session-store.ts";
import { EXAMINATIONS, type TransportParts } from "./transports/registry.ts";

export interface Examination {
	/** `routing`, a transport's name, `outbox` or `registry`. */
	readonly subject: string;
	/** Never rejects: what fails is a finding. */
	readonly findings: Promise<readonly Finding[]>;
}

const SILENT = "does something there hang, or does a firewall drop what it is sent?";
const NAMES = ["local", "nats", "redis", "aws"] as const;
const REACH = { local: "process", nats: "fleet", redis: "fleet", aws: "global" } as const;

function examineRouting(options: FanoutOptions, { namespace }: FanoutSettings, tell: Tell): void {
	const { enabled, warnings, decide } = explain(options);
	tell("ok", `cluster_id is ${namespace}: only processes of the same one hear each other`);
	const shared = enabled.filter((name) => name !== "local");
	if (shared.length === 0) {
		tell("warn", "no enabled transport reaches another process", "enable nats, redis or aws");
		return;
	}
	for (const [whom, session] of [
		["everyone", undefined],
		["one session", "session-1"],
	] as const) {
		const { lanes } = decide({ session, method: "notifications/message", sessions: 0 });
		const goes = `a notifications/message to ${whom} goes to ${lanes.join(", ")}`;
		if (lanes.some((lane) => lane !== "local")) tell("ok", goes);
		else tell("warn", `${goes} alone: no other process hears it`, "is that meant? fanout check shows the rules");
	}
	for (const warning of warnings) tell("warn", warning, "fanout check shows the rules");
}

async function examineRegistry(settings: FanoutSettings, parts: TransportParts, tell: Tell, signal: AbortSignal) {
	const { clock, ids, instanceId } = parts;
	const transports = NAMES.filter((name) => settings[name] !== undefined).map((name) => ({
		name,
		capabilities: { reach: REACH[name] },
	}));
	let keeper: string;
	try {
		keeper = storeName({ settings, transports });
	} catch (error) {
		// It starts all the same, and refuses who asks for sessions.
		return void tell("warn", messageOf(error), "needed only by who serves sessions of the 2025 era, or claims some");
	}
	if (keeper === "memory") {
		const isAlone = transports.every(({ name }) => name === "local");
		const found = "sessions are kept in the memory of each process";
		tell(isAlone ? "ok" : "warn", found, isAlone ? undefined : "set registry.store to one that the fleet shares");
		return;
	}
	const random = () => ids.random32() / 2 ** 32;
	const store = await openStore({
		...{ settings, transports, instanceId, clock, random },
		// The start says why it fails; this says it for each of its tries.
		onerror: () => {},
		mustExist: true,
	});
	const { createRegistry } = await import("./sessions/registry.ts");
	const { namespace, registry: how } = settings;
	const onerror = (error: FanoutError) => tell("warn", error.message);
	const registry = createRegistry({ store, namespace, clock, ids, timeoutMs: how.timeoutMs, onerror });
	try {
		await registry.start(signal);
		const from = clock.monotonic();
		await registry.list(DEFAULT_TENANT, { limit: 1 }, signal);
		tell("ok", `sessions in ${registry.name}: read after ${Math.round(clock.monotonic() - from)} ms`);
	} catch (error) {
		if (!isFanoutError(error) || error.data.isAbsent !== true) throw error;
		tell("ok", `sessions in ${registry.name}: ${error.message}; the first use makes it`);
	} finally {
		await registry.close();
	}
}

/** Throws ConfigInvalid for options that no fanout takes. */
export function examine(
	options: FanoutOptions,
	environment: NodeJS.ProcessEnv = process.env,
	signal?: AbortSignal,
): Examination[] {
	const settings = resolveOptions(options, environment);
	const ids = createIds(systemClock);
	const parts: TransportParts = { clock: systemClock, ids, instanceId: ids.next() };

	async function run(subject: string, work: (tell: Tell, signal: AbortSignal) => Promise<void>): Promise<Finding[]> {
		const found: Finding[] = [];
		let isOver = false;
		const tell: Tell = (state, what, todo) => void (isOver || found.push({ state, found: what, todo }));
		try {
			const within = (inner: AbortSignal) => work(tell, inner);
			await withDeadline(systemClock, settings.startTimeoutMs, `the check of ${subject}`, within, signal);
		} catch (error) {
			const isLate = isFanoutError(error, "DeadlineExceeded");
			tell("fail", messageOf(error), isLate ? SILENT : undefined);
		}
		isOver = true;
		return found;
	}
	const look = (subject: string, work: (tell: Tell, signal: AbortSignal) => Promise<void>): Examination => ({
		subject,
		findings: run(subject, work),
	});

	const { outbox } = settings;
	return [
		look("routing", async (tell) => examineRouting(inForce(options, environment), settings, tell)),
		...NAMES.flatMap((name) => {
			const own = settings[name];
			// Each takes its own options: the pair is one by its name.
			const one = EXAMINATIONS[name] as (...all: [unknown, TransportParts, Tell, AbortSignal]) => Promise<void>;
			return own === undefined ? [] : [look(name, (tell, inner) => one(own, parts, tell, inner))];
		}),
		...(outbox?.file === undefined
			? []
			: [look("outbox", (tell) => examineFile("outbox.file", outbox.file as string, tell))]),
		look("registry", (tell, inner) => examineRegistry(settings, parts, tell, inner)),
	];
}
