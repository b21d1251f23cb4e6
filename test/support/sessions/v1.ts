import { buildV1 } from "./build-v1.ts";
import { serve } from "./serve.ts";

await serve(buildV1);
