/** What a caller configures: no name that nobody knows, and each number within its range. Errors name the key. */
import { FanoutError } from "./errors.ts";

export type Range = readonly [least: number, most: number];

/** What types would have refused: an option that is misspelt would be passed over in silence. Throws ConfigInvalid. */
export function checkNames<T extends object>(of: string, given: T, known: Readonly<Record<keyof T, true>>): void {
	const unknown = Object.keys(given).find((name) => !Object.hasOwn(known, name));
	if (unknown === undefined) return;
	throw new FanoutError(
		"ConfigInvalid",
		`${unknown} is no option of ${of}; there are ${Object.keys(known).join(", ")}`,
	);
}

/** What is given, without what is undefined: defaults are spread under it. Throws ConfigInvalid. */
export function checkRanges<T extends object>(
	where: string,
	given: T | undefined,
	ranges: Readonly<Record<string, Range>>,
): T | undefined {
	for (const [key, value] of Object.entries(given ?? {})) {
		const [least, most] = Object.hasOwn(ranges, key) ? (ranges[key] as Range) : [];
		if (least === undefined || most === undefined) {
			throw new FanoutError("ConfigInvalid", `${where}.${key} is none of ${Object.keys(ranges).join(", ")}`);
		}
		if (value === undefined || (typeof value === "number" && value >= least && value <= most)) continue;
		throw new FanoutError("ConfigInvalid", `${where}.${key} must be ${least} to ${most}, not ${String(value)}`);
	}
	if (given === undefined) return undefined;
	return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as T;
}
