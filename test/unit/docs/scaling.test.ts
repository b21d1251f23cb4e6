import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { keepListening } from "mcp-fanout/client";
import { expect, test } from "vitest";
import { SCALING_FILE, scalingMarkdown } from "../../run/matrix.ts";
import { ROOT } from "../../support/root.ts";
import { settle } from "../../support/settle.ts";
import { type Handler, startFleet } from "../mcp/fleet.ts";

const page = readFileSync(SCALING_FILE, "utf8");
const fences = (language: string) =>
	[...page.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, "gm"))].map(([, body]) => body as string);
const read = (path: string) => readFileSync(join(ROOT, path), "utf8");
const withoutHeader = (text: string) => text.replace(/^\/\*\*[\s\S]*?\*\/\n/, "");
/** Code without its indentation. */
const flat = (text: string) => text.replaceAll(/^\s+/gm, "");

test("the matrix says what receipts say (npm run docs)", () => {
	expect(page).toBe(scalingMarkdown());
});

test("the diff turns the SDK's one process into the fleet's, to the letter, and changes at most ten lines", () => {
	const [diff = ""] = fences("diff");
	const side = (marks: string) =>
		diff
			.split("\n")
			.filter((line) => line !== "" && marks.includes(line[0] as string))
			.map((line) => `${line.slice(1)}\n`)
			.join("");
	expect(side(" -")).toBe(withoutHeader(read("examples/node-fleet/single-process.ts")));
	expect(side(" +")).toBe(withoutHeader(read("examples/node-fleet/server.ts")));
	expect(diff.match(/^\+/gm)?.length).toBeLessThanOrEqual(10);
});

test("each other piece of code is one that runs in an example or below", () => {
	const running = ["examples/v1-sessions/build-server.ts", "test/unit/docs/scaling.test.ts"].map(read).map(flat);
	expect(fences("ts").length).toBe(3);
	for (const fence of fences("ts")) {
		const code = flat(fence.replaceAll(/^\s*\/\/ .*\n/gm, ""));
		expect(
			running.some((text) => flat(text.replaceAll(/^\s*\/\/ .*\n/gm, "")).includes(code)),
			fence,
		).toBe(true);
	}
});

test("what it links is there", () => {
	const links = [...page.matchAll(/\]\(([^)#:]+)\)/g)].map(([, path]) => path as string);
	expect(links.length).toBeGreaterThan(2);
	for (const link of links) expect(existsSync(join(dirname(SCALING_FILE), link)), link).toBe(true);
});

test("its pieces of code do what they say", async () => {
	const fleet = await startFleet(1);
	const [handler] = fleet.handlers as [Handler];
	const [fanout] = fleet.fanouts as [(typeof fleet.fanouts)[number]];
	try {
		const session = "a-session";
		const message = { method: "notifications/message", params: { level: "info", data: "your order has left" } };
		const { undeliverable } = await fanout.to({ session }).send(message);
		expect(undeliverable).toEqual(["2026-07-28"]);

		const page = "docs://handbook";
		const asked: string[] = [];
		const client = Object.assign(await fleet.connect(handler), {
			readResource: async ({ uri }: { uri: string }) => void asked.push(uri),
			listTools: async () => void asked.push("tools"),
		});
		const listen = async () => {
			const filter = { toolsListChanged: true, resourceSubscriptions: [page] };
			for await (const { kind, uri } of keepListening(client, filter)) {
				if (uri !== undefined) await client.readResource({ uri });
				else if (kind === "tools") await client.listTools();
			}
		};
		const listening = listen();
		await expect.poll(() => handler.listens, { timeout: 5_000 }).toBe(1);
		await settle();
		await fanout.notify.resourceUpdated(page);
		await fanout.notify.toolsChanged();
		await expect.poll(() => asked, { timeout: 5_000 }).toEqual([page, "tools"]);
		await client.close();
		await listening.catch(() => undefined);
	} finally {
		await fleet.stop();
	}
});
