import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { ROOT } from "../../support/root.ts";

const under = (folder: string) =>
	readdirSync(join(ROOT, folder))
		.filter((name) => name.endsWith(".md"))
		.map((name) => `${folder}/${name}`);
const PAGES = [
	"README.md",
	"lambda/layer/README.md",
	"lib/constructs/README.md",
	...under("docs"),
	...under("docs/decisions"),
];
const read = (page: string) => readFileSync(join(ROOT, page), "utf8");

/** As the pages' host makes them of headings. */
const anchorOf = (heading: string) =>
	heading
		.toLowerCase()
		.replaceAll(/[^\w\- ]/g, "")
		.trim()
		.replaceAll(" ", "-");
const anchorsOf = (page: string) =>
	[...read(page).matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) => anchorOf(heading));

test("every link of every page leads to a file, and to a heading of it", () => {
	const links = PAGES.flatMap((page) =>
		[...read(page).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)/g)].map(([, path = "", anchor]) => {
			return { page, target: path === "" ? page : join(dirname(page), path), anchor };
		}),
	);
	expect(links.length).toBeGreaterThan(40);
	expect(links.filter(({ target }) => !existsSync(join(ROOT, target)))).toEqual([]);
	const toHeadings = links.filter(({ target, anchor }) => anchor !== undefined && target.endsWith(".md"));
	expect(toHeadings.length).toBeGreaterThan(5);
	expect(toHeadings.filter(({ target, anchor }) => !anchorsOf(target).includes(anchor ?? ""))).toEqual([]);
});
