/** What the templates say. One file, so that each environment is synthesised once for all of it. */
import { describe } from "vitest";
// First, so that its clean-up waits for the last suite and not only for the one that loads it.
import "./synth.ts";

describe("queues", async () => void (await import("./templates/queues.ts")));
describe("state", async () => void (await import("./templates/state.ts")));
describe("AWS's rules", async () => void (await import("./templates/aws-rules.ts")));
describe("grants", async () => void (await import("./templates/grants.ts")));
describe("sockets", async () => void (await import("./templates/sockets.ts")));
describe("events", async () => void (await import("./templates/events.ts")));
describe("observability", async () => void (await import("./templates/observability.ts")));
describe("regions", async () => void (await import("./templates/regions.ts")));
describe("goldens", async () => void (await import("./templates/golden.ts")));
