/** The blocks of code of every page that readers copy from, decisions left out. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./root.ts";

const PAGES = [
	...["README.md", "lambda/layer/README.md", "lib/constructs/README.md"],
	...readdirSync(join(ROOT, "docs"))
		.filter((name) => name.endsWith(".md"))
		.map((name) => `docs/${name}`),
];

export interface Block {
	readonly page: string;
	readonly code: string;
}

export function blocksIn(language: string): readonly Block[] {
	const fence = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, "gm");
	return PAGES.flatMap((page) =>
		[...readFileSync(join(ROOT, page), "utf8").matchAll(fence)].map(([, code = ""]) => ({ page, code })),
	);
}
