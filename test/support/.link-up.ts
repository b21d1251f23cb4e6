import { writeFileSync } from "node:fs";
import { deployCells } from "/work/main/test/support/deploy.ts";
import { startEmulator } from "/work/main/test/support/emulator.ts";
import { createProgress } from "/work/main/test/support/progress.ts";

const progress = createProgress();
const emulator = await startEmulator(progress);
process.once("SIGTERM", () => void emulator.stop().then(() => process.exit(143)));
const cells = await deployCells(emulator, progress);
const { endpoint, socketEndpoint, env, dir } = emulator;
writeFileSync(
	"/tmp/link-cells.json",
	JSON.stringify({ emulator: { endpoint, socketEndpoint, env, dir }, cells }, null, 1),
);
console.log("READY");
setInterval(() => {}, 1e6);
