/** Writes the matrix of what reaches whom into docs/scaling-an-mcp-server.md. `npm run docs` writes it; a test compares. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ADDRESSES, type AddressKind, ERAS, MATRIX } from "../../lambda/layer/src/mcp/matrix.ts";
import { ROOT } from "../support/root.ts";

export const SCALING_FILE = join(ROOT, "docs/scaling-an-mcp-server.md");
const BEGIN = "<!-- from src/mcp/matrix.ts, by npm run docs -->\n";
const END = "<!-- to here -->\n";

const HEADINGS: Readonly<Record<AddressKind, string>> = {
	session: "`session`",
	principal: "`principal`",
	all: "`all`, `tenant`, `everyTenant`",
	topic: "`topic`",
};
const short = (method: string) => `\`${method.replace(/^notifications\//, "")}\``;

export function matrixMarkdown(): string {
	const heads = ADDRESSES.map((address) => HEADINGS[address]);
	const lines = [
		`| \`notifications/…\` | ${heads.join(" | ")} | a client hears it when |`,
		`|---|${heads.map(() => "---|").join("")}---|`,
		...MATRIX.map(({ methods, reaches, when = "" }) => {
			const cells = ADDRESSES.map((address) => {
				const eras = ERAS.filter((era) => reaches[era].includes(address));
				return eras.length === ERAS.length ? "both eras" : eras.length === 0 ? "–" : eras.join(", ");
			});
			const name = methods.length === 0 ? "any other" : methods.map(short).join(", ");
			return `| ${name} | ${cells.join(" | ")} | ${when} |`;
		}),
	];
	return `${lines.join("\n")}\n`;
}

/** The page with the matrix as it is now. */
export function scalingMarkdown(): string {
	const page = readFileSync(SCALING_FILE, "utf8");
	const [before, rest] = page.split(BEGIN);
	const [, after] = (rest ?? "").split(END);
	if (before === undefined || after === undefined) throw new Error("the page does not say where the matrix goes");
	return `${before}${BEGIN}${matrixMarkdown()}${END}${after}`;
}

if (import.meta.main) writeFileSync(SCALING_FILE, scalingMarkdown());
