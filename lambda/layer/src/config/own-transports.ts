/** What types would have refused of transports that a caller made: said by name, before anything is dialled. */
import { FanoutError } from "../core/errors.ts";
import type { Capabilities, Transport } from "../core/transport.ts";

const METHODS = ["start", "publish", "subscribe", "read", "ends", "close"] as const satisfies (keyof Transport)[];
const TIMES = ["dedupMs", "endCheckMs", "retentionMs"] as const satisfies (keyof Capabilities)[];
const REACHES: readonly unknown[] = ["process", "fleet", "region", "global"] satisfies Capabilities["reach"][];

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
	typeof value === "object" && value !== null;
const isText = (value: unknown) => typeof value === "string" && value !== "";
const isCount = (value: unknown) => Number.isSafeInteger(value) && (value as number) > 0;
const isTime = (value: unknown) => typeof value === "number" && value >= 0;

/** What it lacks, as what it should be; undefined when it is whole. */
function lackOf(transport: unknown): string | undefined {
	if (!isObject(transport)) return "must be a transport, made: an object of the port's shape";
	const { capabilities: given, name, place } = transport;
	if (!isText(name)) return ".name must be a text";
	if (!isText(place)) return ".place must be a text";
	const method = METHODS.find((each) => typeof transport[each] !== "function");
	if (method !== undefined) return `.${method} must be a function`;
	if (!isObject(given)) return ".capabilities must be an object";
	if (!REACHES.includes(given.reach)) return `.capabilities.reach must be one of ${REACHES.join(", ")}`;
	for (const flag of ["replay", "positionAtAccept"] as const) {
		if (typeof given[flag] !== "boolean") return `.capabilities.${flag} must be true or false`;
	}
	const time = TIMES.find((each) => !isTime(given[each]));
	if (time !== undefined) return `.capabilities.${time} must be a time in milliseconds`;
	if (!isCount(given.maxPayloadBytes)) return ".capabilities.maxPayloadBytes must be a number of bytes";
	const { batch } = given;
	if (isObject(batch) && isCount(batch.count) && isCount(batch.bytes)) return undefined;
	return ".capabilities.batch must be { count, bytes }, both positive";
}

/** Throws ConfigInvalid. */
export function checkTransports(transports: unknown): void {
	if (transports === undefined) return;
	if (!Array.isArray(transports)) throw new FanoutError("ConfigInvalid", "transports must be a list of transports");
	for (const [index, transport] of transports.entries()) {
		const lack = lackOf(transport);
		if (lack !== undefined)
			throw new FanoutError("ConfigInvalid", `transports[${index}]${lack.startsWith(".") ? "" : " "}${lack}`);
	}
}
