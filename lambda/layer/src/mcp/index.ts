export { createBus, type FanoutBus, type ServerEvent } from "./bus.ts";
