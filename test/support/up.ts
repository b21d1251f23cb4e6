/** Keeps an emulator with two deployed regions until Ctrl-C, and prints how to talk to it: for work by hand. */
import { deployCells } from "./deploy.ts";
import { startEmulator } from "./emulator.ts";
import { createProgress } from "./progress.ts";

async function main(): Promise<void> {
	const progress = createProgress();
	const emulator = await progress.step("AWS emulator", () => startEmulator(progress));
	process.once("SIGINT", () => void emulator.stop().then(() => process.exit(130)));
	process.once("SIGTERM", () => void emulator.stop().then(() => process.exit(143)));
	try {
		const cells = await deployCells(emulator, progress);
		for (const name of ["AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"]) {
			console.log(`export ${name}=${emulator.env[name]}`);
		}
		console.log(JSON.stringify(cells, null, "\t"));
	} catch (error) {
		await emulator.stop();
		throw error;
	}
}

await main();
