/** Where this checkout is, and the paths under it that tests and the demo share. Any of them may hold spaces. */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const BIN = join(ROOT, "node_modules", ".bin");
/** Git-ignored: the Python environment, logs of the last runs. */
export const STATE_DIR = join(ROOT, ".emulator");
/** The Node that runs us, first: `node` must be 24 for every child, whatever the machine has. */
export const CHILD_PATH = [dirname(process.execPath), BIN, "/usr/local/bin", "/usr/bin", "/bin"].join(":");
