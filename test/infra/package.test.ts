/** What is published. One file, so that the package is built once for all of it. */
import { describe } from "vitest";
// First, so that its clean-up waits for the last suite and not only for the one that loads it.
import "./synth.ts";

describe("the layer", async () => void (await import("./package/layer.ts")));
describe("declarations", async () => void (await import("./package/declarations.ts")));
describe("blocks of the pages", async () => void (await import("./package/blocks.ts")));
