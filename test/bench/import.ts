/**
 * What importing costs: `mcp-fanout` beside `ws`, each in processes of its own, in turns. The figure is the time of
 * the dynamic import inside the process; quote the ratio.
 */
import { spawnSync } from "node:child_process";

const ROUNDS = 15;

function importMs(name: string): number {
	const script = `const t = performance.now(); await import(${JSON.stringify(name)}); process.stdout.write(String(performance.now() - t));`;
	const { status, stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "--eval", script], {
		cwd: new URL("../..", import.meta.url),
		encoding: "utf8",
	});
	if (status !== 0) throw new Error(`import of ${name} failed: ${stderr}`);
	return Number(stdout);
}

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1] as number;

/** Needs the built package: `npm run bench` builds it first. */
export async function run(): Promise<boolean> {
	const ours: number[] = [];
	const ws: number[] = [];
	for (let round = 0; round < ROUNDS; round += 1) {
		ours.push(importMs("mcp-fanout"));
		ws.push(importMs("ws"));
	}
	const ratio = median(ours.map((ms, index) => ms / (ws[index] as number)));
	console.log(
		`import, median of ${ROUNDS} in turns: mcp-fanout ${median(ours).toFixed(1)} ms, ws ${median(ws).toFixed(1)} ms`,
	);
	console.log(`ratio mcp-fanout ÷ ws: ${ratio.toFixed(2)} (target ≤ 1.00)`);
	return ratio <= 1;
}
