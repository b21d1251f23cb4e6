/** The contract on what an author outside wrote with the public entries alone, over a real PostgreSQL server. */
import { afterAll, beforeAll } from "vitest";
import { createPostgresTransport } from "../../examples/transport-postgres/transport.ts";
import { type PostgresServer, startPostgres } from "../support/postgres.ts";
import { runContract } from "./map.ts";

let server: PostgresServer;
let count = 0;

beforeAll(async () => {
	server = await startPostgres();
});
afterAll(() => server?.stop());

runContract("postgres, the example of a transport from outside", () => ({
	createTransport: async () => createPostgresTransport({ connection: { connectionString: server.url } }),
	namespace: () => `contract-${++count}`,
	limits: { waitMs: 5_000 },
	async forget({ key }) {
		await server.run(
			"DELETE FROM fanout.log WHERE channel = $1 AND place = (SELECT min(place) FROM fanout.log WHERE channel = $1)",
			[key],
		);
	},
	async reset({ key }) {
		await server.run("DELETE FROM fanout.channel WHERE key = $1", [key]);
	},
}));
