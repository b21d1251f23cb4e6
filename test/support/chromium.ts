/** A real browser for tests: Chromium from the PATH, else the pinned one, which is there for Linux on x64. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pinned from "@sparticuz/chromium";
import { type Browser, chromium } from "playwright-core";
import { onPath } from "./venv.ts";

const NAMES = ["chromium", "chromium-browser", "google-chrome"];
const DEADLINE_MS = 60_000;
/** No sandbox: the tests may run as root. Nothing is asked of the network. */
const ARGS = [
	"--no-sandbox",
	"--disable-gpu",
	"--disable-quic",
	"--no-first-run",
	"--disable-background-networking",
	"--disable-component-update",
	"--disable-sync",
];

/** Undefined where there is none. */
export async function chromiumPath(): Promise<string | undefined> {
	for (const name of NAMES) {
		const found = await onPath(name);
		if (found !== undefined) return found;
	}
	return process.platform === "linux" && process.arch === "x64" ? pinned.executablePath() : undefined;
}

export interface Page {
	/** Runs in the page; takes and gives JSON. */
	run<T, A>(work: (given: A) => T | Promise<T>, given: A): Promise<T>;
}

export interface OpenBrowser {
	open(url: string): Promise<Page>;
	close(): Promise<void>;
}

export async function openBrowser(executablePath: string): Promise<OpenBrowser> {
	const profile = await mkdtemp(join(tmpdir(), "mcp-fanout-browser-"));
	const env = { HOME: profile, TMPDIR: profile, LANG: "C.UTF-8" };
	const browser: Browser = await chromium.launch({ executablePath, args: ARGS, env, timeout: DEADLINE_MS });
	return {
		async open(url) {
			const page = await browser.newPage();
			page.setDefaultTimeout(DEADLINE_MS);
			await page.goto(url);
			return { run: (work, given) => page.evaluate(work as never, given as never) };
		},
		async close() {
			await browser.close();
			await rm(profile, { recursive: true, force: true });
		},
	};
}
