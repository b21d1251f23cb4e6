/** Reading and checking a configuration, for tools: what `createFanout` does with a file before it dials anything. */
export type { Finding } from "../core/finding.ts";
export { type Examination, examine } from "../examine.ts";
export { CONFIG_FILE, CONFIG_VARIABLE, configFile } from "./configured.ts";
export { type ExplainedDecision, type ExplainedMessage, type Explanation, explain, inForce } from "./explain.ts";
export { loadConfig, readText } from "./file/load.ts";
export { type Parsed, parseConfig, type Source } from "./file/parse.ts";
export type { Problem } from "./file/problems.ts";
export { jsonSchema } from "./file/schema.ts";
