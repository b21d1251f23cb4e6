/**
 * Whether a file has changed, by looking: an editor that renames a new file over it, a symbolic link that is swapped (a
 * mounted Kubernetes ConfigMap), a network file system and a bind mount are all the same to that, and to notifications
 * of the operating system they are not. A change is told once two looks in a row see the same, so not while it is written.
 */
import { stat } from "node:fs/promises";
import type { Clock, Timer } from "../core/clock.ts";

const LOOK_MS = 1_000;

export interface FileWatch {
	/** Idempotent; no timer stays. */
	close(): void;
}

/** What tells one content from another; "" while there is no file. */
export async function signatureOf(file: string): Promise<string> {
	try {
		const { dev, ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true });
		return [dev, ino, size, mtimeNs, ctimeNs].join(" ");
	} catch {
		// Missing or not to be read: who reads it says so.
		return "";
	}
}

/** `read` is the signature of what was read: from there on each change is told. */
export function watchFile(file: string, read: string, clock: Clock, changed: () => void): FileWatch {
	let told = read;
	let seen: string | undefined;
	let timer: Timer | undefined;
	let isClosed = false;
	const look = async (): Promise<void> => {
		const now = await signatureOf(file);
		if (isClosed) return;
		const isSettled = now === seen;
		seen = now;
		if (isSettled && now !== told) {
			told = now;
			changed();
		}
		if (!isClosed) timer = clock.after(LOOK_MS, look);
	};
	look();
	return {
		close() {
			isClosed = true;
			timer?.cancel();
		},
	};
}
