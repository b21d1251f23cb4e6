import { buildV2 } from "./build-v2.ts";
import { serve } from "./serve.ts";

await serve(buildV2);
