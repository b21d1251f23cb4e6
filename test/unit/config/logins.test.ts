import { expect, test } from "vitest";
import { parseConfig } from "../../../lambda/layer/src/config/file/parse.ts";

function refused(text: string, environment: NodeJS.ProcessEnv = {}): unknown {
	try {
		parseConfig({ file: "fanout.toml", text }, environment);
	} catch (error) {
		return error;
	}
	throw new Error("nothing was refused");
}

// What generates a password likes slashes; what is in an address should have been encoded.
test.each(["hun/ter2", "hun ter2", 'hun"ter2', "hun@ter2"])(
	"[P10] an address with the login me:%s is refused in a file, and never shown",
	(password) => {
		const server = `nats://me:${password}@host:4222`;
		for (const error of [
			refused(`[notification.nats]\nservers = ${JSON.stringify([server])}\n`),
			refused(`[notification.nats]\nservers = ${JSON.stringify(server)}\n`),
			refused(`[notification.redis]\nurl = ${JSON.stringify(`redis://:${password}@host:6379`)}\n`),
			refused(`[notification.redis]\ncluster_nodes = ${JSON.stringify([`:${password}@host:6379`])}\n`),
			refused("[notification.nats]\n", { FANOUT_NATS_SERVERS: `nats://me:${password} @host:4222` }),
		]) {
			expect(error).toMatchObject({ code: "ConfigInvalid", data: { problems: [expect.anything()] } });
			expect(`${(error as Error).message} ${JSON.stringify(error)}`).not.toMatch(/hun|ter2/);
		}
	},
);
