/** `npm run conformance`: the official suite against three processes behind a round-robin address; prints all it says. */
import { startConformanceFleet } from "./fleet.ts";
import { LEGS, runLeg } from "./suite.ts";

const fleet = await startConformanceFleet();
try {
	for (const leg of LEGS) {
		console.log(`\n##### ${leg.name}`);
		try {
			console.log(await runLeg(leg, fleet.url, fleet.dir));
		} catch (error) {
			console.log((error as Error).message);
			process.exitCode = 1;
		}
	}
} finally {
	await fleet.stop();
}
