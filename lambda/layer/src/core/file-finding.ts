/** Whether a process could keep a SQLite file where it is named. It is looked at and not opened: whoever runs has its lock. */
import { constants } from "node:fs";
import { access, open, stat, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { messageOf, type Tell } from "./finding.ts";

const HEADER = "SQLite format 3\0";
const LOW_BYTES = 64 * 1024 * 1024;

async function headerOf(file: string): Promise<string> {
	const handle = await open(file, "r");
	try {
		const { bytesRead, buffer } = await handle.read(Buffer.alloc(HEADER.length), 0, HEADER.length, 0);
		return buffer.toString("latin1", 0, bytesRead);
	} finally {
		await handle.close();
	}
}

async function fault(file: string): Promise<string | undefined> {
	const directory = dirname(file);
	// The journal is made beside it.
	await access(directory, constants.W_OK | constants.X_OK);
	const found = await stat(file).catch((error: NodeJS.ErrnoException) => {
		if (error.code === "ENOENT") return undefined;
		throw error;
	});
	if (found === undefined) return undefined;
	if (!found.isFile()) return "is no file";
	await access(file, constants.R_OK | constants.W_OK);
	const header = await headerOf(file);
	return header === "" || header === HEADER ? undefined : "is no SQLite database";
}

/** `key` is the one that names the file. */
export async function examineFile(key: string, file: string, tell: Tell): Promise<void> {
	const todo = `name a file in a directory that this user may write to in ${key}`;
	try {
		const wrong = await fault(file);
		if (wrong !== undefined) return tell("fail", `${key}: ${file} ${wrong}`, "move it away, or name another file");
		const { bavail, bsize } = await statfs(dirname(file));
		const free = Math.floor((bavail * bsize) / 2 ** 20);
		if (free * 2 ** 20 < LOW_BYTES) tell("warn", `${key}: ${free} MiB are free where ${file} is`, "make room there");
		else tell("ok", `${key}: ${file} can be written`);
	} catch (error) {
		tell("fail", `${key}: ${file} cannot be written: ${messageOf(error)}`, todo);
	}
}
