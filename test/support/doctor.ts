/** `fanout doctor` with a file's text, and what it says of each subject. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { main } from "../../cli/main.ts";

export interface Doctored {
	readonly code: number;
	readonly out: readonly string[];
	/** What failed, and what was warned of, without the rest of the line. */
	readonly failed: readonly string[];
	readonly warned: readonly string[];
}

export async function doctor(
	text: string | undefined,
	environment: NodeJS.ProcessEnv = {},
	...args: readonly string[]
): Promise<Doctored> {
	const directory = mkdtempSync(join(tmpdir(), "fanout-doctor-"));
	const file = join(directory, "fanout.toml");
	try {
		if (text !== undefined) writeFileSync(file, text);
		const out: string[] = [];
		const output = { out: (line: string) => void out.push(line), err: (line: string) => void out.push(`err ${line}`) };
		const code = await main(["doctor", ...(text === undefined ? [] : [file]), ...args], environment, output);
		const those = (state: string) =>
			out.filter((line) => line.startsWith(state)).map((line) => line.slice(5).replace(/ -> .*$/, ""));
		return { code, out, failed: those("fail "), warned: those("warn ") };
	} finally {
		rmSync(directory, { recursive: true, force: true });
	}
}
