/**
 * `npm run chaos -- [--seed N] [--minutes M] [--world name] [--only fault,fault]`: the same seed makes the same faults
 * at the same times. Without a world each has its share of the time. The exit code says whether anything was found.
 */
import { FlagError, readFlags } from "../support/flags.ts";
import { runChaos } from "./run.ts";
import { FAULT_KINDS } from "./schedule.ts";
import { WORLD_NAMES } from "./world.ts";

const USAGE = `usage: npm run chaos -- [--seed N] [--minutes M] [--world name] [--only fault,fault]
  --world  one of ${WORLD_NAMES.join(", ")}; without it each has its share of the minutes
  --only   some of ${FAULT_KINDS.join(", ")}`;

const MAX_MINUTES = 60;
const SHOWN_FINDINGS = 20;

function oneOf<T extends string>(name: string, known: readonly T[], text: string): T {
	const found = known.find((one) => one === text);
	if (found === undefined) throw new FlagError(`--${name} is one of ${known.join(", ")}, not ${text}`);
	return found;
}

function number(name: string, text: string, most: number): number {
	const value = Number(text);
	if (!(value > 0 && value <= most)) throw new FlagError(`--${name} is a number over 0 and up to ${most}, not ${text}`);
	return value;
}

async function main(): Promise<void> {
	const { seed, minutes, worlds, kinds } = readFlags(
		USAGE,
		{
			options: {
				seed: { type: "string", default: String(1 + (Date.now() % 1_000_000)) },
				minutes: { type: "string", default: "2" },
				world: { type: "string" },
				only: { type: "string" },
			},
		},
		({ values }) => ({
			seed: Math.floor(number("seed", values.seed, 2 ** 31)),
			minutes: number("minutes", values.minutes, MAX_MINUTES),
			worlds: values.world === undefined ? WORLD_NAMES : [oneOf("world", WORLD_NAMES, values.world)],
			kinds: values.only?.split(",").map((kind) => oneOf("only", FAULT_KINDS, kind)) ?? FAULT_KINDS,
		}),
	);
	console.log(`chaos: seed ${seed}, ${minutes} min over ${worlds.join(", ")}`);
	for (const world of worlds) {
		const forMs = (minutes * 60_000) / worlds.length;
		const say = (text: string) => console.log(`  ${new Date().toISOString().slice(11, 23)} ${text}`);
		console.log(`${world}:`);
		const result = await runChaos({ world, seed, forMs, kinds, say });
		const { findings, storedTwice, stale, counts, resumes, mangled, tells, early, owning, wholeAfterMs } = result;
		console.log(
			`  ${counts.accepted} accepted, ${counts.uncertain} uncertain, ${counts.certain} refused; ${resumes} resumes; ` +
				`${mangled} deliveries mangled, ${tells} times told, ${early} early copies; ` +
				`${owning.writes} writes of owners, ${owning.takeovers} takeovers; ` +
				`whole ${(wholeAfterMs / 1_000).toFixed(1)} s after the last fault; ${findings.length + stale.length} findings`,
		);
		for (const { kind, stream, detail } of findings.slice(0, SHOWN_FINDINGS)) {
			console.log(`  FOUND ${kind} on ${stream}: ${detail}`);
		}
		for (const { id, places } of storedTwice.slice(0, SHOWN_FINDINGS)) {
			console.log(`  stored more than once: ${id}: ${places.join("; ")}`);
		}
		for (const detail of stale.slice(0, SHOWN_FINDINGS)) console.log(`  FOUND stale owner: ${detail}`);
		if (findings.length + stale.length > 0) process.exitCode = 1;
	}
	console.log(process.exitCode === 1 ? `broken promises with seed ${seed}` : "nothing found");
}

await main();
