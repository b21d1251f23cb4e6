/**
 * Runs one command in a process group of its own and ends the whole group when our stdin ends: then the one who
 * started us asks for it, or is gone, killed without a chance to clean up included. Grandchildren never outlive the
 * command. Usage: node keeper.ts <command> [arguments…]
 */
import { spawn } from "node:child_process";

const GRACE_MS = 3_000;
const [command, ...args] = process.argv.slice(2);
if (command === undefined) throw new Error("usage: keeper.ts <command> [arguments…]");

const child = spawn(command, args, { stdio: ["ignore", "inherit", "inherit"], detached: true });

function signalGroup(signal: NodeJS.Signals): void {
	if (child.pid === undefined) return;
	try {
		process.kill(-child.pid, signal);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
	}
}

function endGroup(): void {
	signalGroup("SIGTERM");
	setTimeout(() => signalGroup("SIGKILL"), GRACE_MS).unref();
}

process.on("SIGTERM", endGroup);
process.on("SIGINT", endGroup);
process.stdin.resume();
process.stdin.on("end", endGroup);
process.stdin.on("error", endGroup);
child.on("error", (error) => {
	console.error(`cannot start ${command}: ${error.message}`);
	process.exit(127);
});
child.on("exit", (code, signal) => {
	signalGroup("SIGKILL");
	process.exit(code ?? (signal === "SIGTERM" ? 143 : 137));
});
